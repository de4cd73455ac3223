/* SPDX-License-Identifier: Apache-2.0 */
/* What ps and pgrep -f show of this process. */
#ifndef CLI_TITLE_H
#define CLI_TITLE_H

/* First thing in main(); argv's strings may be overwritten by title_set(). */
void title_init(int argc, char **argv);

void title_set(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
