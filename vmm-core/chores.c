/* SPDX-License-Identifier: Apache-2.0 */
/* A queue and the thread that works it off, see chores.h. */
#include "vmm-core/chores.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "ipc/log.h"

#define STACK_BYTES	(64u << 10)

struct chore {
	int fd;
	bool wake;		/* else close */
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* All below under lock. */
	struct chore queue[CHORES_MAX];
	unsigned int first;
	unsigned int nr;
	unsigned int nr_wakes;	/* of nr */
	bool runs;
	bool complained;
} chores = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
};

/* From the front again if that empties it: fewer pages are touched. */
static struct chore next_chore(void)
{
	struct chore chore;

	pthread_mutex_lock(&chores.lock);
	while (chores.nr == 0)
		pthread_cond_wait(&chores.changed, &chores.lock);
	chore = chores.queue[chores.first];
	chores.first = (chores.first + 1) % CHORES_MAX;
	if (--chores.nr == 0)
		chores.first = 0;
	chores.nr_wakes -= chore.wake;
	pthread_mutex_unlock(&chores.lock);
	return chore;
}

static void *chores_main(void *unused)
{
	const uint64_t one = 1;

	prctl(PR_SET_NAME, "chores");
	pthread_mutex_lock(&chores.lock);
	chores.runs = true;
	pthread_cond_signal(&chores.changed);
	pthread_mutex_unlock(&chores.lock);
	for (;;) {
		struct chore chore = next_chore();

		if (!chore.wake)
			close(chore.fd);
		else if (write(chore.fd, &one, sizeof(one)) < 0)
			log_debug("eventfd %d is awake already", chore.fd);
	}
	return unused;
}

int chores_start(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	err = pthread_create(&thread, &attr, chores_main, NULL);
	pthread_attr_destroy(&attr);
	if (err)
		return -err;
	pthread_mutex_lock(&chores.lock);
	while (!chores.runs)
		pthread_cond_wait(&chores.changed, &chores.lock);
	pthread_mutex_unlock(&chores.lock);
	return 0;
}

/* There is room for each fd that there can be, and for as many wakes as may be. */
static void put(struct chore chore)
{
	bool complain, refused;

	pthread_mutex_lock(&chores.lock);
	refused = chores.nr == CHORES_MAX ||
		  (chore.wake && chores.nr_wakes == CHORES_MAX_WAKES);
	complain = refused && !chores.complained;
	if (complain)
		chores.complained = true;
	if (!refused) {
		chores.queue[(chores.first + chores.nr) % CHORES_MAX] = chore;
		chores.nr++;
		chores.nr_wakes += chore.wake;
		pthread_cond_signal(&chores.changed);
	}
	pthread_mutex_unlock(&chores.lock);
	if (complain)
		log_warn("a back-end blocks what is done for it; from now on some of that is left undone");
}

void chores_close(int fd)
{
	put((struct chore){ .fd = fd });
}

void chores_wake(int event_fd)
{
	put((struct chore){ .fd = event_fd, .wake = true });
}
