/* SPDX-License-Identifier: Apache-2.0 */
/* The life channel's table and its two ends.  See ipc/life.h. */
#include <errno.h>
#include <string.h>

#include "ipc/fdmsg.h"
#include "ipc/life.h"

const char *const life_cache_names[LIFE_NR_CACHES] = {
	[LIFE_CACHE_NONE] = "none",
	[LIFE_CACHE_WRITEBACK] = "writeback",
	[LIFE_CACHE_WRITETHROUGH] = "writethrough",
	[LIFE_CACHE_DIRECTSYNC] = "directsync",
	[LIFE_CACHE_UNSAFE] = "unsafe",
};

const char *life_role_name(enum life_role role)
{
	static const char *const names[] = {
		[LIFE_ROLE_CORE] = "core",
		[LIFE_ROLE_BLK] = "blk",
		[LIFE_ROLE_SERIAL] = "serial",
		[LIFE_ROLE_CONSOLE] = "console",
		[LIFE_ROLE_RNG] = "rng",
	};

	return names[role];
}

struct life_rule {
	uint32_t type;
	enum life_side to;	/* who may receive it */
	uint16_t size;		/* payload bytes, exact */
	uint8_t fds_min;
	uint8_t fds_max;
};

static const struct life_rule life_rules[] = {
	{ LIFE_BIRTH, LIFE_SIDE_CHILD, sizeof(struct life_birth), 0, 0 },
	{ LIFE_PING, LIFE_SIDE_CHILD, sizeof(struct life_ping), 0, 0 },
	{ LIFE_STOP, LIFE_SIDE_CHILD, 0, 0, 0 },
	{ LIFE_ADOPT, LIFE_SIDE_CHILD, 0, 0, 0 },
	{ LIFE_ATTACH, LIFE_SIDE_CHILD, 0, 1, 1 },
	{ LIFE_BLK_THROTTLE, LIFE_SIDE_CHILD,
	  sizeof(struct throttle_settings), 0, 0 },
	{ LIFE_BLK_RESUME, LIFE_SIDE_CHILD, 0, 0, 0 },
	{ LIFE_CORE_DEVICE, LIFE_SIDE_CHILD,
	  sizeof(struct life_core_device), 1, 2 },
	{ LIFE_CORE_START, LIFE_SIDE_CHILD, 0, 0, 0 },
	{ LIFE_CORE_POWER_BUTTON, LIFE_SIDE_CHILD, 0, 0, 0 },
	{ LIFE_CORE_RELINK, LIFE_SIDE_CHILD,
	  sizeof(struct life_core_relink), 1, 1 },
	{ LIFE_CORE_GIVE_UP, LIFE_SIDE_CHILD,
	  sizeof(struct life_core_relink), 0, 0 },
	{ LIFE_CORE_STATS, LIFE_SIDE_CHILD, 0, 0, 0 },
	{ LIFE_CORE_PAUSE, LIFE_SIDE_CHILD, 0, 0, 0 },
	{ LIFE_CORE_RESUME, LIFE_SIDE_CHILD, 0, 0, 0 },
	{ LIFE_READY, LIFE_SIDE_SUPERVISOR, 0, 0, 0 },
	{ LIFE_PONG, LIFE_SIDE_SUPERVISOR, sizeof(struct life_ping), 0, 0 },
	{ LIFE_FAILED, LIFE_SIDE_SUPERVISOR, sizeof(struct life_text), 0, 0 },
	{ LIFE_ESCAPE, LIFE_SIDE_SUPERVISOR, 0, 0, 0 },
	{ LIFE_CORE_EVENT, LIFE_SIDE_SUPERVISOR,
	  sizeof(struct life_core_event), 0, 0 },
	{ LIFE_BLK_HELD, LIFE_SIDE_SUPERVISOR, sizeof(struct life_blk_held), 0, 0 },
	{ LIFE_BLK_MOVED, LIFE_SIDE_SUPERVISOR, sizeof(struct life_blk_moved),
	  0, 0 },
};

static const struct life_rule *find_rule(uint32_t type)
{
	for (size_t i = 0; i < sizeof(life_rules) / sizeof(*life_rules); i++)
		if (life_rules[i].type == type)
			return &life_rules[i];
	return NULL;
}

int life_send(int fd, enum life_type type, const void *payload,
	      const int *fds, unsigned int nr_fds, int timeout_ms)
{
	const struct life_rule *rule = find_rule(type);
	char datagram[LIFE_MSG_MAX];
	struct life_hdr hdr;

	if (!rule || nr_fds < rule->fds_min || nr_fds > rule->fds_max)
		return -EINVAL;
	hdr = (struct life_hdr){ .type = type, .size = rule->size };
	memcpy(datagram, &hdr, sizeof(hdr));
	if (rule->size)
		memcpy(datagram + sizeof(hdr), payload, rule->size);
	return fdmsg_send(fd, datagram, sizeof(hdr) + rule->size, fds, nr_fds,
			  timeout_ms);
}

static int terminated(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static int strings_are_sound(const struct life_msg *msg)
{
	const struct life_birth *birth = &msg->u.birth;

	switch (msg->type) {
	case LIFE_BIRTH:
		if (!terminated(birth->vm, sizeof(birth->vm)) ||
		    !terminated(birth->device, sizeof(birth->device)))
			return 0;
		if (birth->role == LIFE_ROLE_CORE)
			return terminated(birth->u.core.cmdline,
					  sizeof(birth->u.core.cmdline));
		if (birth->role == LIFE_ROLE_BLK)
			return terminated(birth->u.blk.serial,
					  sizeof(birth->u.blk.serial));
		return 1;
	case LIFE_CORE_DEVICE:
		return terminated(msg->u.core_device.name,
				  sizeof(msg->u.core_device.name));
	case LIFE_FAILED:
		return terminated(msg->u.text.text, sizeof(msg->u.text.text));
	case LIFE_CORE_EVENT:
		return terminated(msg->u.core_event.text,
				  sizeof(msg->u.core_event.text));
	default:
		return 1;
	}
}

/* Everything a handler may rely on.  0 or -EPROTO. */
static int check(const char *datagram, size_t len, enum life_side side,
		 struct life_msg *msg)
{
	const struct life_rule *rule;
	struct life_hdr hdr;

	if (len < sizeof(hdr))
		return -EPROTO;
	memcpy(&hdr, datagram, sizeof(hdr));
	rule = find_rule(hdr.type);
	if (!rule || rule->to != side || hdr.size != rule->size ||
	    len != sizeof(hdr) + rule->size || msg->nr_fds < rule->fds_min ||
	    msg->nr_fds > rule->fds_max)
		return -EPROTO;
	msg->type = hdr.type;
	memcpy(&msg->u, datagram + sizeof(hdr), rule->size);
	return strings_are_sound(msg) ? 0 : -EPROTO;
}

int life_recv(int fd, enum life_side side, struct life_msg *msg,
	      int timeout_ms)
{
	char datagram[LIFE_MSG_MAX];
	ssize_t got;
	int err;

	msg->nr_fds = sizeof(msg->fds) / sizeof(*msg->fds);
	got = fdmsg_recv(fd, datagram, sizeof(datagram), msg->fds,
			 &msg->nr_fds, timeout_ms);
	if (got <= 0)
		return (int)got;
	err = check(datagram, (size_t)got, side, msg);
	if (err) {
		fdmsg_close_all(msg->fds, msg->nr_fds);
		msg->nr_fds = 0;
		return err;
	}
	return 1;
}
