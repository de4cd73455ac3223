/* SPDX-License-Identifier: Apache-2.0 */
/* The service manager that started us, if one did. */
#ifndef CLI_NOTIFY_H
#define CLI_NOTIFY_H

/* The guest runs.  Without a service manager: nothing. */
void notify_ready(void);

#endif
