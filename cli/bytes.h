/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of bytes as users write them. */
#ifndef CLI_BYTES_H
#define CLI_BYTES_H

#include <stdint.h>

/* "512", "64K", "20M", "4G", "1T", 1024-fold each.  0 or -EINVAL. */
int bytes_parse(const char *text, uint64_t *bytes);

#endif
