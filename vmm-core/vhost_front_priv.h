/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the vhost-user front-end: how vhost_front.c speaks to a back-end,
 * and what vhost_front_replay.c says to it.
 *
 * Each function that talks ends the back-end (closes the link, logs a line)
 * when it returns an error, and gives -ENOTCONN once there is none.
 */
#ifndef VMM_CORE_VHOST_FRONT_PRIV_H
#define VMM_CORE_VHOST_FRONT_PRIV_H

#include <stddef.h>

#include "vmm-core/vhost_front.h"

/* With this bit in SET_FEATURES rings start disabled. */
#define F_PROTOCOL_FEATURES_MASK (1ull << VHOST_USER_F_PROTOCOL_FEATURES_BIT)

/* Was bit negotiated? */
static inline bool front_has(const struct vhost_front *front,
			     enum vhost_user_protocol_bit bit)
{
	return front->protocol_features >> bit & 1;
}

/* Has the driver set up queue index, and is it this back-end's? */
static inline bool front_serves(const struct vhost_front *front,
				unsigned int index)
{
	return front->queue_mask >> index & 1 && front->queue[index].ready;
}

/* One line about what went wrong, and the end of this back-end.  Return: err. */
int front_fail(struct vhost_front *front, int err, const char *what);

/* A request without an answer of its own; acknowledged if REPLY_ACK is there. */
int front_tell_fds(struct vhost_front *front, enum vhost_user_request request,
		   const void *payload, size_t size, const int *fds,
		   unsigned int nr_fds);
int front_tell(struct vhost_front *front, enum vhost_user_request request,
	       const void *payload, size_t size);
int front_tell_u64(struct vhost_front *front, enum vhost_user_request request,
		   uint64_t value);
/* SET_STATUS, if the back-end knows it. */
int front_tell_status(struct vhost_front *front, uint64_t status);

/*
 * A request of ask_bytes, and its reply of reply_min to reply_max bytes, in
 * the same payload.  fd: as in vhost_user_recv_reply().
 */
int front_ask(struct vhost_front *front, enum vhost_user_request request,
	      union vhost_user_payload *payload, size_t ask_bytes,
	      size_t reply_min, size_t reply_max, int *fd);

/* Fetch config space.  *changed: it is another than before.  0 or -errno. */
int front_fetch_config(struct vhost_front *front, int *changed);

/* Everything a back-end must know to serve.  fresh: the driver just started. */
int front_replay(struct vhost_front *front, bool fresh);

#endif
