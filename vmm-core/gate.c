/* SPDX-License-Identifier: Apache-2.0 */
/* Where vCPU threads wait for the guest to run, see gate.h.  Core (C6, C7). */
#include "vmm-core/gate.h"

#include <pthread.h>

bool gate_is_open;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned int nr_come;	/* under lock */

bool gate_pass(void)
{
	bool was_shut;

	pthread_mutex_lock(&lock);
	nr_come++;
	pthread_cond_broadcast(&changed);
	was_shut = !gate_is_open;
	while (!gate_is_open)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	return was_shut;
}

void gate_wait_for(unsigned int nr)
{
	pthread_mutex_lock(&lock);
	while (nr_come < nr)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

void gate_set(bool open, void (*change)(bool open))
{
	pthread_mutex_lock(&lock);
	change(open);
	__atomic_store_n(&gate_is_open, open, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}
