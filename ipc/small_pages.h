/* SPDX-License-Identifier: Apache-2.0 */
/* Static memory of a program, page by page.  Every process; first of all. */
#ifndef IPC_SMALL_PAGES_H
#define IPC_SMALL_PAGES_H

/*
 * No huge pages for what has no initial value (.bss): the arrays there have
 * room for the most that may be, and one touch would take 2 MiB of it, where a
 * host gives huge pages unasked (transparent_hugepage = always).
 */
void small_pages_begin(void);

#endif
