/* SPDX-License-Identifier: Apache-2.0 */
/* What O_DIRECT asks for in an open file, as its file system says. */
#ifndef IPC_DIO_ALIGN_H
#define IPC_DIO_ALIGN_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Bytes, neither of them 0: of offsets and lengths, and of addresses.
 * Return: false, it does not say (statx(2), STATX_DIOALIGN, Linux 6.1).
 */
bool dio_align(int fd, uint32_t *offset_align, uint32_t *memory_align);

#endif
