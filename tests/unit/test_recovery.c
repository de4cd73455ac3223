/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devproc/vring.c and devproc/inflight.c: a device process may be killed
 * between any two instructions.
 *
 * A child plays the device.  What outlives it (rings, in-flight region) is
 * read-only to it: each store faults, is done alone, and leaves a copy of what
 * a death right after it would leave.  On each of these the parent plays the
 * driver and the successor, and asks the oracle: the successor must take exactly the requests whose completion the driver
 * cannot see, each once, in the order in which they were made available.
 * (A write that the host has done already is among them: it may be repeated.
 * One that the driver saw completed never is.)
 *
 * Enumerated: requests in the ring, where its indices stand, how the device
 * groups and orders its completions, whether the driver offers the
 * descriptors that it got back before the successor looks; and, from each
 * crash of the first process, all crashes of the second.
 */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "devproc/guest_mem.h"
#include "devproc/vring_priv.h"

#define SIZE		4u	/* of the ring; one descriptor a request */
#define RAM_BYTES	0x4000u
#define AVAIL_GPA	0x1000u
#define USED_GPA	0x2000u
#define DATA_GPA	0x3000u	/* request number n has its buffer at 16 * n */
#define INFLIGHT	RAM_BYTES	/* offset of the in-flight region */
#define IMAGE_BYTES	(RAM_BYTES + 0x1000u)

#define MAX_IMAGES	512
#define DONE_CODE	42
#define TRAP_FLAG	0x100	/* of RFLAGS: a trap after one instruction */

#define NR_PAIRS	6
#define NR_SCENARIOS	96

/* All that outlives a process. */
struct world {
	int fd;
	uint8_t *at;
};

/* How the device works, and what the driver does. */
struct scenario {
	unsigned int nr_requests;	/* 1..SIZE */
	uint16_t base;		/* both indices at the start */
	unsigned int batch;	/* completions per publish */
	bool reverse;		/* of a batch: the youngest first */
};

static struct world real, copy;
static unsigned int nr_crashes;

static struct vring_available *avail_of(const struct world *world)
{
	return (struct vring_available *)(world->at + AVAIL_GPA);
}

static struct vring_used_ring *used_of(const struct world *world)
{
	return (struct vring_used_ring *)(world->at + USED_GPA);
}

static void world_make(struct world *world)
{
	world->fd = memfd_create("world", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(world->fd, IMAGE_BYTES), 0);
	world->at = mmap(NULL, IMAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			 world->fd, 0);
	ck_assert_ptr_ne(world->at, MAP_FAILED);
}

/* --- the driver -------------------------------------------------------------- */

static void offer(const struct world *world, uint16_t head, uint16_t number)
{
	struct vring_descriptor *desc = (struct vring_descriptor *)world->at;
	struct vring_available *avail = avail_of(world);

	desc[head] = (struct vring_descriptor){
		.addr = DATA_GPA + 16ull * (number % 64), .len = 16,
	};
	avail->ring[avail->idx % SIZE] = head;
	avail->idx++;
}

static void driver_begin(const struct scenario *scenario)
{
	memset(real.at, 0, IMAGE_BYTES);
	avail_of(&real)->idx = scenario->base;
	used_of(&real)->idx = scenario->base;
	for (uint16_t i = 0; i < scenario->nr_requests; i++)
		offer(&real, i, i);
}

/* Which requests the driver still waits for, in the order of their offers. */
struct waiting {
	uint16_t head[2 * SIZE];
	unsigned int nr;
};

static void expect(struct waiting *waiting, uint16_t head)
{
	waiting->head[waiting->nr++] = head;
}

static void came_back(struct waiting *waiting, uint16_t head)
{
	for (unsigned int i = 0; i < waiting->nr; i++) {
		if (waiting->head[i] != head)
			continue;
		memmove(&waiting->head[i], &waiting->head[i + 1],
			(waiting->nr - i - 1) * sizeof(waiting->head[0]));
		waiting->nr--;
		return;
	}
	ck_abort_msg("head %u came back, and nobody waits for it", head);
}

/*
 * The oracle: what is left to do, as the driver sees it in the copy.
 * offer_again: it offers what came back, before the successor looks.
 */
static void driver_look(const struct scenario *scenario, bool offer_again,
			struct waiting *waiting)
{
	struct vring_used_ring *used = used_of(&copy);
	uint16_t end = used->idx;

	waiting->nr = 0;
	for (uint16_t i = 0; i < scenario->nr_requests; i++)
		expect(waiting, i);
	ck_assert_uint_le((uint16_t)(end - scenario->base),
			  scenario->nr_requests);
	for (uint16_t i = scenario->base; i != end; i++)
		came_back(waiting, (uint16_t)used->ring[i % SIZE].id);
	for (uint16_t i = scenario->base;
	     offer_again && i != end; i++) {
		uint16_t head = (uint16_t)used->ring[i % SIZE].id;

		offer(&copy, head, (uint16_t)(SIZE + head));
		expect(waiting, head);
	}
}

/* --- the device --------------------------------------------------------------- */

static struct vring vring;
static struct stats_queue stats;
static struct iovec span[4];
static uint8_t *ram;			/* what the rings are reached by */

static void device_set_up(const struct world *world, uint16_t base)
{
	struct vhost_user_region region = { .size = RAM_BYTES };

	guest_mem_clear();
	ck_assert_int_eq(guest_mem_add(&region, dup(world->fd)), 0);
	memset(&stats, 0, sizeof(stats));
	vring_init(&vring, 0, &stats);
	ram = guest_mem_from_user(0, RAM_BYTES, 4096);
	vring.desc = guest_mem_from_user(0, VRING_DESC_BYTES(SIZE), 16);
	vring.avail = guest_mem_from_user(AVAIL_GPA, VRING_AVAIL_BYTES(SIZE),
					  2);
	vring.used = guest_mem_from_user(USED_GPA, VRING_USED_BYTES(SIZE), 4);
	vring.size = SIZE;
	vring.last_avail = base;
}

/* For the child, where Check's assertions do not reach. */
static void must(bool ok)
{
	if (!ok)
		abort();
}

static void device_start(const struct world *world)
{
	must(inflight_attach(&vring.inflight, world->at + INFLIGHT, SIZE) == 0);
	must(vring_start(&vring) == 0);
	vring.running = true;
}

static bool take(uint16_t *head)
{
	struct vring_chain chain = { .spans = span, .max_spans = 4 };
	int ret = vring_pop(&vring, &chain);

	must(ret >= 0);
	*head = chain.head;
	return ret > 0;
}

/* All that there is, completed in batches. */
static void device_work(const struct scenario *scenario)
{
	uint16_t heads[SIZE];
	unsigned int nr = 0;

	while (nr < SIZE && take(&heads[nr]))
		nr++;
	for (unsigned int done = 0; done < nr; done++) {
		unsigned int at = scenario->reverse ? nr - 1 - done : done;

		vring_push(&vring, heads[at], 0);
		if ((done + 1) % scenario->batch == 0)
			vring_publish(&vring);
	}
	vring_publish(&vring);
}

/* --- crash and successor -------------------------------------------------------- */

/* As the front-end has it: a successor starts at the used index. */
static void check_successor(const struct scenario *scenario, bool offer_again)
{
	struct waiting waiting;
	uint16_t used_idx = used_of(&real)->idx;
	uint16_t head;

	nr_crashes++;
	memcpy(copy.at, real.at, IMAGE_BYTES);
	driver_look(scenario, offer_again, &waiting);
	device_set_up(&copy, used_idx);
	device_start(&copy);
	for (unsigned int i = 0; i < waiting.nr; i++) {
		ck_assert_msg(take(&head), "request %u of %u is lost", i,
			      waiting.nr);
		ck_assert_uint_eq(head, waiting.head[i]);
	}
	ck_assert_msg(!take(&head), "head %u is done twice", head);
	for (unsigned int i = 0; i < waiting.nr; i++)
		vring_push(&vring, waiting.head[i], 0);
	vring_publish(&vring);
	ck_assert_uint_eq(used_of(&copy)->idx, avail_of(&copy)->idx);
	/* Nothing is left for a third. */
	device_set_up(&copy, used_of(&copy)->idx);
	device_start(&copy);
	ck_assert(!take(&head));
}

/* What each crash of one process leaves; written by it, read by its parent. */
struct images {
	unsigned int nr;
	uint8_t at[MAX_IMAGES][IMAGE_BYTES];
};

static struct images *first, *second;
static struct images *seen;		/* the child's, while it works */

static void guard(int protection)
{
	/* Both mappings of the real world: guest_mem's, and this test's. */
	must(mprotect(ram, RAM_BYTES, protection) == 0 &&
	     mprotect(real.at, IMAGE_BYTES, protection) == 0);
}

static bool is_guarded(const void *address)
{
	const uint8_t *at = address;

	return (at >= ram && at < ram + RAM_BYTES) ||
	       (at >= real.at && at < real.at + IMAGE_BYTES);
}

/* SIGSEGV: a store.  It is let through, alone. */
static void on_store(int sig, siginfo_t *info, void *opaque)
{
	ucontext_t *context = opaque;

	(void)sig;
	must(is_guarded(info->si_addr));
	guard(PROT_READ | PROT_WRITE);
	context->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

/* SIGTRAP: it is done; death could come now. */
static void on_stored(int sig, siginfo_t *info, void *opaque)
{
	ucontext_t *context = opaque;

	(void)sig;
	(void)info;
	context->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	must(seen->nr < MAX_IMAGES);
	memcpy(seen->at[seen->nr], real.at, IMAGE_BYTES);
	if (seen->nr == 0 ||
	    memcmp(seen->at[seen->nr], seen->at[seen->nr - 1], IMAGE_BYTES))
		seen->nr++;
	guard(PROT_READ);
}

static void catch_stores(void)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO };

	action.sa_sigaction = on_store;
	must(sigaction(SIGSEGV, &action, NULL) == 0);
	action.sa_sigaction = on_stored;
	must(sigaction(SIGTRAP, &action, NULL) == 0);
	guard(PROT_READ);
}

/* The device's process. */
static _Noreturn void device_live(const struct scenario *scenario,
				  struct images *images)
{
	images->nr = 0;
	seen = images;
	device_set_up(&real, used_of(&real)->idx);
	catch_stores();
	device_start(&real);
	device_work(scenario);
	_exit(DONE_CODE);
}

/* Every crash of one process that begins with what is in the real world. */
static void crash_everywhere(const struct scenario *scenario,
			     struct images *images)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		device_live(scenario, images);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == DONE_CODE);
	for (unsigned int i = 0; i < images->nr; i++) {
		memcpy(real.at, images->at[i], IMAGE_BYTES);
		check_successor(scenario, false);
		check_successor(scenario, true);
	}
}

/* --- tests ------------------------------------------------------------------------ */

static struct images *images_make(void)
{
	void *images = mmap(NULL, sizeof(struct images),
			    PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(images, MAP_FAILED);
	return images;
}

static void set_up(void)
{
	first = images_make();
	second = images_make();
	world_make(&real);
	world_make(&copy);
	nr_crashes = 0;
}

static void tear_down(void)
{
	guest_mem_clear();
	munmap(first, sizeof(*first));
	munmap(second, sizeof(*second));
	munmap(real.at, IMAGE_BYTES);
	munmap(copy.at, IMAGE_BYTES);
	close(real.fd);
	close(copy.fd);
}

static const uint16_t bases[] = { 0, 3, 65534 };

static struct scenario scenario_of(int number)
{
	return (struct scenario){
		.nr_requests = 1 + (unsigned int)number % SIZE,
		.base = bases[number / 4 % 3],
		.batch = 1 + (unsigned int)number / 12 % SIZE,
		.reverse = number / 48 % 2,
	};
}

START_TEST(a_crash_anywhere_loses_and_repeats_nothing)
{
	struct scenario scenario = scenario_of(_i);

	driver_begin(&scenario);
	crash_everywhere(&scenario, first);
	/* Each request is marked, pushed, published and unmarked at least. */
	ck_assert_uint_ge(nr_crashes, 4 * scenario.nr_requests);
}
END_TEST

START_TEST(nor_does_a_crash_of_the_successor)
{
	struct scenario scenario = {
		.nr_requests = SIZE,
		.base = bases[_i % 3],
		.batch = _i / 3 ? 3 : 1,
		.reverse = _i / 3,
	};

	driver_begin(&scenario);
	crash_everywhere(&scenario, first);
	for (unsigned int i = 0; i < first->nr; i++) {
		memcpy(real.at, first->at[i], IMAGE_BYTES);
		crash_everywhere(&scenario, second);
	}
	ck_assert_uint_gt(nr_crashes, first->nr);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recovery");
	TCase *one = tcase_create("one crash");
	TCase *two = tcase_create("two crashes");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(one, set_up, tear_down);
	tcase_set_timeout(one, 60);
	tcase_add_loop_test(one, a_crash_anywhere_loses_and_repeats_nothing, 0,
			    NR_SCENARIOS);
	suite_add_tcase(suite, one);
	tcase_add_checked_fixture(two, set_up, tear_down);
	tcase_set_timeout(two, 100);
	tcase_add_loop_test(two, nor_does_a_crash_of_the_successor, 0,
			    NR_PAIRS);
	suite_add_tcase(suite, two);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
