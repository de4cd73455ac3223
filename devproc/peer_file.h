/* SPDX-License-Identifier: Apache-2.0 */
/* Files that a front-end sends to be mapped: guest RAM, in-flight region. */
#ifndef DEVPROC_PEER_FILE_H
#define DEVPROC_PEER_FILE_H

#include <stdint.h>

/*
 * Is fd a regular file (a memfd, say) of at least end bytes?  A file that
 * ends before its mapping would turn an access into a SIGBUS; that it stays
 * so large is the front-end's promise (Bulkhead's core sends memfds sealed
 * against shrinking).
 * page_bytes: what offset and length of its mappings must be multiples of.
 * Return: 0; -EINVAL no; -errno of fstat(2).
 */
int peer_file_check(int fd, uint64_t end, uint64_t *page_bytes);

#endif
