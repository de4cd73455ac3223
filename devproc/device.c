/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a device process, see device.h.  Every device; C3 to C7. */
#include "devproc/device.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devproc/life_link.h"
#include "devproc/loop.h"
#include "devproc/standalone.h"
#include "devproc/walk.h"
#include "ipc/probe.h"
#include "ipc/fault_match.h"
#include "ipc/small_pages.h"
#include "jail/confine.h"

struct stats_page *device_stats;

static const struct device_ops *device;

/* For ps and top: "blk-vda", or "blk" if it has no name beside its role's. */
static void name_self(const struct life_birth *birth)
{
	/* The kernel keeps 15 characters of it. */
	char comm[16 + LIFE_DEVICE_NAME_MAX];
	bool named = birth->device[0] && strcmp(birth->device, device->role);

	snprintf(comm, sizeof(comm), "%s%s%s", device->role,
		 named ? "-" : "", named ? birth->device : "");
	prctl(PR_SET_NAME, comm);
}

/* The supervisor's page, or one of our own when started by hand. */
static void map_stats(bool supervised)
{
	int flags = supervised ? MAP_SHARED : MAP_SHARED | MAP_ANONYMOUS;

	device_stats = mmap(NULL, STATS_PAGE_BYTES, PROT_READ | PROT_WRITE,
			    flags, supervised ? STATS_FD : -1, 0);
	if (device_stats == MAP_FAILED)
		die(1, "statistics page on fd %d: %s", STATS_FD,
		    strerror(errno));
	stats_begin(&device_stats->head, device->life_role,
		    sizeof(*device_stats));
}

/* From now on the page is this process's to write, as it serves. */
static void begin_to_count(void)
{
	stats_born(&device_stats->head);
	PROBE1(serve, device->life_role);
	__atomic_store_n(&device_stats->disk.waiting, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&device_stats->disk.held, 0, __ATOMIC_RELAXED);
}

/* argv[0], which ps shows, no longer says that this is a spare. */
static void retitle(char *title)
{
	char *mark = strstr(title, LIFE_SPARE_MARK);

	if (!mark)
		return;
	memset(mark, 0, strlen(LIFE_SPARE_MARK));
	strcpy(mark, LIFE_SERVING_MARK);
}

/*
 * A spare has done all that takes time, and knows nothing yet of guest, image
 * or core.  The process that serves writes to the same statistics page.
 */
static void wait_for_adoption(char **argv)
{
	life_link_adoption();
	retitle(argv[0]);
}

/*
 * The page that says what to do wrong (ipc/fault.h), if we were given one.
 * Its fd goes: whoever takes this process over shall not write to it.
 */
static void map_faults(bool supervised)
{
	struct fault_page *page = MAP_FAILED;

	if (supervised) {
		page = mmap(NULL, FAULT_PAGE_BYTES, PROT_READ, MAP_SHARED,
			    FAULT_FD, 0);
		close(FAULT_FD);
	}
	fault_init(page == MAP_FAILED ? NULL : page, &device_stats->head);
	walk_init(page == MAP_FAILED ? NULL : &page->walk_goal, device_stats);
}

/* Why has been said: nobody needs a second line. */
static bool told;

void device_fail(const char *fmt, ...)
{
	char text[LIFE_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	log_err("%s", text);
	life_link_failed(text);
	told = true;
	loop_quit(1);
}

void device_tell(enum life_type type, const void *payload)
{
	life_link_tell(type, payload);
}

void device_link_closed(void)
{
	device->stop();
}

/* A step before the loop failed. */
static int failed(const char *step, int ret)
{
	if (!told)
		device_fail("bulkhead-%s cannot %s: %s", device->role, step,
			    strerror(-ret));
	return 1;
}

int device_main(const struct device_ops *ops, int argc, char **argv)
{
	struct life_birth birth;
	bool supervised = argc <= 1;
	int ret;

	small_pages_begin();
	device = ops;
	log_init(NULL, LOG_LEVEL_INFO);
	signal(SIGPIPE, SIG_IGN);
	if (supervised)
		life_link_birth(ops, &birth);
	else
		standalone_birth(ops, argc, argv, &birth);
	log_init(NULL, (enum log_level)birth.log_level);
	name_self(&birth);
	map_stats(supervised);
	map_faults(supervised);
	ret = loop_init();
	if (!ret)
		ret = ops->open(&birth);
	if (ret)
		return failed("open its resources", ret);

	confine_speculation();
	confine_self(ops->policy, &device_stats->head.last_word);

	if (supervised && birth.spare)
		wait_for_adoption(argv);
	begin_to_count();
	ret = ops->start(&birth);
	if (!ret)
		ret = life_link_start(ops);
	ret = ret ? failed("start", ret) : loop_run();
	if (ret == 0 && ops->finish && ops->finish())
		ret = 1;
	/*
	 * Not exit(): nothing is buffered, and what libraries do at exit may
	 * take system calls that the policy does not have.
	 */
	syscall(SYS_exit_group, ret);
	return ret;
}
