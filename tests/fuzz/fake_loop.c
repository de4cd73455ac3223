/* SPDX-License-Identifier: Apache-2.0 */
/* The loop and the life of a device process, see fake_loop.h. */
#include "tests/fuzz/fake_loop.h"

#include <poll.h>
#include <stddef.h>

#include "devproc/device.h"
#include "devproc/loop.h"
#include "tests/fuzz/fuzz.h"

#define MAX_SOURCES	64
#define HOOK_REPEATS	8

static struct {
	struct loop_source *source[MAX_SOURCES];
	short events[MAX_SOURCES];
	unsigned int nr;
	bool (*hook)(void);
	bool over;
} fake;

static struct stats_page stats;
struct stats_page *device_stats = &stats;

void fake_loop_reset(void)
{
	for (unsigned int i = 0; i < fake.nr; i++)
		fake.source[i]->fd = -1;
	fake.nr = 0;
	fake.over = false;
}

bool fake_loop_is_over(void)
{
	return fake.over;
}

int loop_add(struct loop_source *source, int fd, uint32_t events)
{
	fuzz_check(fake.nr < MAX_SOURCES);
	source->fd = fd;
	fake.source[fake.nr] = source;
	fake.events[fake.nr++] = events & EPOLLIN ? POLLIN : 0;
	return 0;
}

void loop_remove(struct loop_source *source)
{
	if (source->fd < 0)
		return;
	source->fd = -1;
	for (unsigned int i = 0; i < fake.nr; i++) {
		if (fake.source[i] != source)
			continue;
		fake.nr--;
		fake.source[i] = fake.source[fake.nr];
		fake.events[i] = fake.events[fake.nr];
		return;
	}
	fuzz_check(!"a source that is in the loop");
}

void loop_set_round_hook(bool (*hook)(void))
{
	fake.hook = hook;
}

void loop_quit(int status)
{
	(void)status;
	fake.over = true;
}

void fake_loop_round(void)
{
	/* Backwards: a handler may remove its own source. */
	for (unsigned int i = fake.nr; i-- > 0 && !fake.over;) {
		struct pollfd pfd;

		if (i >= fake.nr)
			continue;
		pfd.fd = fake.source[i]->fd;
		pfd.events = fake.events[i];
		if (poll(&pfd, 1, 0) == 1)
			fake.source[i]->handle(fake.source[i],
					       (uint32_t)pfd.revents);
	}
	for (int i = 0; i < HOOK_REPEATS && !fake.over && fake.hook(); i++)
		;
}

void device_fail(const char *fmt, ...)
{
	(void)fmt;
	fake.over = true;
}

void device_link_closed(void)
{
	fake.over = true;
}
