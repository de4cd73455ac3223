/* SPDX-License-Identifier: Apache-2.0 */
/* What a control client may ask for; see ipc/README.md, "Control". */
#ifndef CLI_CONTROL_COMMANDS_H
#define CLI_CONTROL_COMMANDS_H

#include <jansson.h>

#include "cli/supervisor.h"

/*
 * Obey one request line of len bytes.  *waits is set if the client is to be
 * told the end of the VM.  Return: the reply, a new reference, or NULL
 * without memory.
 */
json_t *control_obey(struct vm *vm, const char *line, size_t len, bool *waits);

/* control_faults.c: obeys "fault", as the table of control_commands.c wants it. */
json_t *control_fault(struct vm *vm, const json_t *request, bool *waits);

/* control_disk.c, likewise. */
json_t *control_throttle(struct vm *vm, const json_t *request, bool *waits);
json_t *control_resume(struct vm *vm, const json_t *request, bool *waits);
json_t *control_resize(struct vm *vm, const json_t *request, bool *waits);
json_t *control_move(struct vm *vm, const json_t *request, bool *waits);
json_t *control_snapshot(struct vm *vm, const json_t *request, bool *waits);

/* control_stats.c: "stats-page", "events"; status with refresh_stats. */
json_t *control_stats_page(struct vm *vm, const json_t *request, bool *waits);
json_t *control_events(struct vm *vm, const json_t *request, bool *waits);
void control_refresh_stats(struct vm *vm);
/* control_walk.c: "walk". */
json_t *control_walk(struct vm *vm, const json_t *request, bool *waits);

/* {"ok": true} */
json_t *control_ok(void);
json_t *control_error(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));

#endif
