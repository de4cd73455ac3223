/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What children log: a pipe each, read by the supervisor (C7).
 *
 * A child may be hostile: lines are bounded, made printable and counted, and
 * the name in front of each is ours.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "cli/children.h"
#include "ipc/fdmsg.h"

#define LINES_PER_SECOND	200
#define READS_PER_TURN		4	/* the other children's turn then */
#define READS_AT_DEATH		32	/* a full pipe, 64 KiB */

static void say(const struct child *child, const char *text)
{
	char from[80];

	snprintf(from, sizeof(from), "%s/%s[%d]", child->vm->cfg->name,
		 child->name, child->birth.pid);
	log_relay(from, text);
}

static void report_dropped(struct child *child)
{
	char text[64];

	if (!child->log.dropped)
		return;
	snprintf(text, sizeof(text), "%u log lines dropped",
		 child->log.dropped);
	child->log.dropped = 0;
	say(child, text);
}

static void finish_line(struct child *child)
{
	struct child_log *log = &child->log;

	log->line[log->len] = '\0';
	if (log->len && log_allowed(&log->limit, LINES_PER_SECOND)) {
		report_dropped(child);
		say(child, log->line);
	} else if (log->len) {
		log->dropped++;
	}
	log->len = 0;
}

/* Control characters could move the cursor, colour, or forge a line. */
static void take_byte(struct child *child, char byte)
{
	struct child_log *log = &child->log;

	if (byte == '\n') {
		finish_line(child);
	} else if (log->len < sizeof(log->line) - 1) {
		/* What is longer is cut. */
		log->line[log->len++] = byte >= ' ' && byte <= '~' ? byte : '?';
	}
}

/* Return: whether there may be more. */
static bool read_some(struct child *child)
{
	char buf[2048];
	ssize_t len = read(child->log_fd, buf, sizeof(buf));

	if (len <= 0) {
		/* All writers are gone: nothing comes any more. */
		if (len == 0 || errno != EAGAIN)
			loop_remove(child->vm->loop_fd, &child->log_pipe);
		return false;
	}
	for (ssize_t i = 0; i < len; i++)
		take_byte(child, buf[i]);
	return true;
}

void child_log_read(struct child *child, bool final)
{
	int reads = final ? READS_AT_DEATH : READS_PER_TURN;

	while (child->log_fd >= 0 && reads-- && read_some(child))
		;
	if (final) {
		finish_line(child);
		report_dropped(child);
	}
}

void child_log_ready(struct watch *watch, uint32_t epoll_events)
{
	(void)epoll_events;
	child_log_read(watch->owner, false);
}
