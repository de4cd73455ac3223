/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queues' states between the front-end's messages; for vhost_device.c
 * and vhost_message.c only.
 *
 *	state     rings mapped  pops       reached by
 *	IDLE      no            no         birth, queue_stop_end()
 *	RUNNING   yes           if enabled queue_set_kick()
 *	DRAINING  yes           no         queue_drain_begin()
 */
#ifndef DEVPROC_VHOST_QUEUE_H
#define DEVPROC_VHOST_QUEUE_H

#include "devproc/vhost_device.h"
#include "ipc/vhost_user.h"

/* All queues idle.  ops must stay. */
void queue_init_all(const struct vhost_ops *ops, unsigned int nr_queues);
/* What the driver and the front-end negotiated, for queues started later. */
void queue_set_features(uint64_t features);

/*
 * One per message; index < nr_queues is checked here.  fds are the queue's
 * from then on, -1 is none.
 * Return: 0; -EINVAL index, number or address is wrong; -EBUSY the queue runs.
 */
int queue_set_num(unsigned int index, uint32_t num);
int queue_set_base(unsigned int index, uint32_t base);
int queue_set_addr(const struct vhost_user_vring_addr *addr);
int queue_set_kick(unsigned int index, int fd);
int queue_set_call(unsigned int index, int fd);
int queue_set_err(unsigned int index, int fd);
int queue_set_enable(unsigned int index, uint32_t enable);

#define QUEUE_ALL	UINT32_MAX

bool queue_exists(uint32_t index);
/* Does any run? */
bool queue_any_running(void);

/*
 * Stopping takes two steps, as requests in flight must end: begin, then, once
 * queue_drained() says so, end.  index may be QUEUE_ALL.
 * queue_stop_end() forgets the rings; queue_pause_end() maps them again, for a
 * memory table that has changed.
 */
void queue_drain_begin(uint32_t index);
bool queue_drained(uint32_t index);
/* Requests in flight, of all queues. */
unsigned int queue_nr_in_flight(void);
void queue_stop_end(uint32_t index);
/* Return: 0; -EFAULT rings are not in the new table: those queues are idle. */
int queue_pause_end(void);

/* After queue_stop_end(): where the driver's next request will be. */
uint32_t queue_base(unsigned int index);

/* Has a ring been broken since the last call? */
bool queue_newly_broken(void);

#endif
