/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devproc/vring*.c and devproc/inflight*.c, split and packed rings: a device
 * process may be killed between any two instructions.
 *
 * A child plays the device.  What outlives it (rings, in-flight region) is
 * read-only to it: each store faults, is done alone, and leaves a copy of what
 * a death right after it would leave.  On each of these the parent plays the
 * driver and the successor, and asks the oracle: the successor must take
 * exactly the requests whose completion the driver cannot see, each once, in
 * the order in which they were made available; and each of its completions
 * must show the driver that one and no other.
 * (A write that the host has done already is among them: it may be repeated.
 * One that the driver saw completed never is.)
 *
 * Enumerated: the ring's form, requests in the ring, descriptors of each,
 * where its indices stand, how the device groups and orders its completions,
 * whether the driver offers what it got back before the successor looks; and,
 * from each crash of the first process, all crashes of the second.
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
#include "tests/unit/recovery_driver.h"

#define SIZE		RECOVERY_SIZE
#define RAM_BYTES	0x4000u
#define INFLIGHT	RAM_BYTES	/* offset of the in-flight region */
#define IMAGE_BYTES	(RAM_BYTES + 0x1000u)

#define MAX_IMAGES	512
#define DONE_CODE	42
#define TRAP_FLAG	0x100	/* of RFLAGS: a trap after one instruction */

#define NR_SPLIT_PAIRS	6
#define NR_PAIRS	9
#define NR_SPLIT	96
#define NR_PACKED	96

/* All that outlives a process. */
struct world {
	int fd;
	uint8_t *at;
};

/* How the device works, and what the driver does. */
struct scenario {
	const struct recovery_form *form;
	unsigned int nr_requests;
	uint16_t nr_descs;	/* of each; all fit into the ring */
	uint32_t base;		/* where the ring starts */
	unsigned int batch;	/* completions per publish */
	bool reverse;		/* of a batch: the youngest first */
};

static struct world real, copy;
static struct recovery_driver driver;	/* that has offered all requests */
static unsigned int nr_crashes;

static void world_make(struct world *world)
{
	world->fd = memfd_create("world", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(world->fd, IMAGE_BYTES), 0);
	world->at = mmap(NULL, IMAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			 world->fd, 0);
	ck_assert_ptr_ne(world->at, MAP_FAILED);
}

/* --- the driver -------------------------------------------------------------- */

static void driver_begin(const struct scenario *scenario)
{
	memset(real.at, 0, IMAGE_BYTES);
	scenario->form->begin(&driver, real.at, scenario->base);
	for (uint16_t i = 0; i < scenario->nr_requests; i++)
		scenario->form->offer(&driver, real.at, i,
				      scenario->nr_descs);
}

/* Which requests the driver still waits for, in the order of their offers. */
struct waiting {
	uint16_t number[2 * SIZE];
	unsigned int nr;
};

static void expect(struct waiting *waiting, uint16_t number)
{
	waiting->number[waiting->nr++] = number;
}

static void came_back(struct waiting *waiting, int number)
{
	for (unsigned int i = 0; i < waiting->nr; i++) {
		if (waiting->number[i] != number)
			continue;
		memmove(&waiting->number[i], &waiting->number[i + 1],
			(waiting->nr - i - 1) * sizeof(waiting->number[0]));
		waiting->nr--;
		return;
	}
	ck_abort_msg("request %d came back, and nobody waits for it", number);
}

/*
 * The oracle: what is left to do, as the driver sees it in the copy.
 * offer_again: it offers what came back, before the successor looks.
 */
static void driver_look(const struct scenario *scenario, bool offer_again,
			struct recovery_driver *at, struct waiting *waiting)
{
	uint16_t back[SIZE];
	unsigned int nr_back = 0;
	int number;

	*at = driver;
	waiting->nr = 0;
	for (uint16_t i = 0; i < scenario->nr_requests; i++)
		expect(waiting, i);
	while ((number = scenario->form->take_back(at, copy.at)) != -1) {
		came_back(waiting, number);
		back[nr_back++] = (uint16_t)number;
	}
	for (unsigned int i = 0; offer_again && i < nr_back; i++) {
		scenario->form->offer(at, copy.at, (uint16_t)(SIZE + back[i]),
				      scenario->nr_descs);
		expect(waiting, (uint16_t)(SIZE + back[i]));
	}
}

/* --- the device --------------------------------------------------------------- */

static struct vring vring;
static struct stats_queue stats;
static struct iovec span[4];
static uint8_t *ram;			/* what the rings are reached by */

/* As the front-end has it. */
static void device_set_up(const struct scenario *scenario,
			  const struct world *world)
{
	const struct vhost_user_vring_addr areas = {
		.desc = 0, .avail = RECOVERY_AVAIL, .used = RECOVERY_USED,
	};
	struct vhost_user_region region = { .size = RAM_BYTES };

	guest_mem_clear();
	ck_assert_int_eq(guest_mem_add(&region, dup(world->fd)), 0);
	memset(&stats, 0, sizeof(stats));
	vring_init(&vring, 0, &stats);
	ram = guest_mem_from_user(0, RAM_BYTES, 4096);
	vring.form = scenario->form->form;
	vring.size = SIZE;
	vring.base = scenario->form->base(world->at, scenario->base);
	ck_assert_int_eq(vring_map(&vring, &areas), 0);
}

/* For the child, where Check's assertions do not reach. */
static void must(bool ok)
{
	if (!ok)
		abort();
}

static void device_start(const struct world *world)
{
	must(vring_track(&vring, world->at + INFLIGHT, SIZE) == 0);
	must(vring_start(&vring) == 0);
	vring.running = true;
}

/* number: of the request, as its buffer says. */
static bool take(uint16_t *head, uint16_t *number)
{
	struct vring_chain chain = { .spans = span, .max_spans = 4 };
	int ret = vring_pop(&vring, &chain);

	must(ret >= 0);
	if (ret == 0)
		return false;
	*head = chain.head;
	*number = (uint16_t)(((uint8_t *)span[0].iov_base - ram -
			      RECOVERY_DATA) / 16);
	return true;
}

/* All that there is, completed in batches. */
static void device_work(const struct scenario *scenario)
{
	uint16_t heads[SIZE];
	uint16_t number;
	unsigned int nr = 0;

	while (nr < SIZE && take(&heads[nr], &number))
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

/* One completion, and the driver sees that one alone. */
static void complete(const struct scenario *scenario,
		     struct recovery_driver *at, uint16_t head,
		     uint16_t number)
{
	vring_push(&vring, head, 0);
	vring_publish(&vring);
	ck_assert_int_eq(scenario->form->take_back(at, copy.at), number);
	ck_assert_msg(scenario->form->take_back(at, copy.at) == -1,
		      "with request %u another one came back", number);
}

static void check_successor(const struct scenario *scenario, bool offer_again)
{
	struct recovery_driver at;
	struct waiting waiting;
	uint16_t heads[2 * SIZE];
	uint16_t number;

	nr_crashes++;
	memcpy(copy.at, real.at, IMAGE_BYTES);
	driver_look(scenario, offer_again, &at, &waiting);
	device_set_up(scenario, &copy);
	device_start(&copy);
	for (unsigned int i = 0; i < waiting.nr; i++) {
		ck_assert_msg(take(&heads[i], &number),
			      "request %u of %u is lost", i, waiting.nr);
		ck_assert_uint_eq(number, waiting.number[i]);
	}
	ck_assert_msg(!take(&heads[0], &number), "request %u is done twice",
		      number);
	/* Not in the order that its predecessor had. */
	for (unsigned int i = 0; i < waiting.nr; i++) {
		unsigned int one = scenario->reverse ? i :
						       waiting.nr - 1 - i;

		complete(scenario, &at, heads[one], waiting.number[one]);
	}
	/* Nothing is left for a third. */
	device_set_up(scenario, &copy);
	device_start(&copy);
	ck_assert(!take(&heads[0], &number));
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
	device_set_up(scenario, &real);
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

static const uint32_t split_bases[] = { 0, 3, 65534 };
/* vhost-user: used place, available place; bit 15 the wrap counter */
static const uint32_t packed_bases[] = { 0x80008000, 0x80038003, 0x00020002 };

static struct scenario split_scenario(int number)
{
	return (struct scenario){
		.form = &recovery_split,
		.nr_requests = 1 + (unsigned int)number % SIZE,
		.nr_descs = 1,
		.base = split_bases[number / 4 % 3],
		.batch = 1 + (unsigned int)number / 12 % SIZE,
		.reverse = number / 48 % 2,
	};
}

static struct scenario packed_scenario(int number)
{
	/* Requests, and descriptors of each. */
	static const uint8_t shapes[8][2] = {
		{ 1, 1 }, { 2, 1 }, { 3, 1 }, { 4, 1 },
		{ 1, 2 }, { 2, 2 }, { 1, 3 }, { 1, 4 },
	};

	return (struct scenario){
		.form = &recovery_packed,
		.nr_requests = shapes[number % 8][0],
		.nr_descs = shapes[number % 8][1],
		.base = packed_bases[number / 8 % 3],
		.batch = 1 + (unsigned int)number / 24 % SIZE,
		.reverse = (number / 8 + number / 24) % 2,
	};
}

static void check_all(const struct scenario *scenario)
{
	driver_begin(scenario);
	crash_everywhere(scenario, first);
	/* Each request is marked, pushed, published and unmarked at least. */
	ck_assert_uint_ge(nr_crashes, 4 * scenario->nr_requests);
}

START_TEST(a_crash_anywhere_loses_and_repeats_nothing)
{
	struct scenario scenario = split_scenario(_i);

	check_all(&scenario);
}
END_TEST

START_TEST(nor_does_it_with_a_packed_ring)
{
	struct scenario scenario = packed_scenario(_i);

	check_all(&scenario);
}
END_TEST

START_TEST(nor_does_a_crash_of_the_successor)
{
	bool packed = _i >= NR_SPLIT_PAIRS;
	bool in_batches = packed || _i / 3;
	struct scenario scenario = {
		.form = packed ? &recovery_packed : &recovery_split,
		.nr_requests = SIZE,
		.nr_descs = 1,
		.base = packed ? packed_bases[_i % 3] : split_bases[_i % 3],
		.batch = in_batches ? 3 : 1,
		.reverse = in_batches,
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
			    NR_SPLIT);
	tcase_add_loop_test(one, nor_does_it_with_a_packed_ring, 0,
			    NR_PACKED);
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
