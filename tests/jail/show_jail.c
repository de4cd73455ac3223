/* SPDX-License-Identifier: Apache-2.0 */
/*
 * show_jail PID...: one line about each process's jail, as `bulkhead ps` has
 * it, for scripts that look at a running VM.
 * Exit status: 0 all are jailed, 1 one is not or cannot be looked at.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jail/inspect.h"

static int show(pid_t pid)
{
	char line[INSPECT_LINE_MAX];
	struct inspect inspect;
	int err = inspect_read(pid, &inspect);

	if (err) {
		printf("%d: %s\n", (int)pid, strerror(-err));
		return EXIT_FAILURE;
	}
	inspect_line(&inspect, line, sizeof(line));
	printf("%d: %s: %s\n", (int)pid,
	       inspect_is_jailed(&inspect) ? "jailed" : "NOT JAILED", line);
	return inspect_is_jailed(&inspect) ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	int status = argc > 1 ? EXIT_SUCCESS : EXIT_FAILURE;

	for (int i = 1; i < argc; i++)
		status |= show((pid_t)atoi(argv[i]));
	return status;
}
