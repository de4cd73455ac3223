/* SPDX-License-Identifier: Apache-2.0 */
/* LIFE_FD, the device's side: birth, adoption, pings, stop.  Every device; C3 and C7. */
#include "devproc/life_link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devproc/loop.h"
#include "ipc/fdmsg.h"

#define BIRTH_TIMEOUT_MS	5000
#define TELL_TIMEOUT_MS		200

static const struct device_ops *ops;
static bool has_supervisor;
static bool is_ready;		/* READY was said: a spare */

void life_link_birth(const struct device_ops *device_ops,
		     struct life_birth *birth)
{
	struct life_msg msg;
	int ret = life_recv(LIFE_FD, LIFE_SIDE_CHILD, &msg, BIRTH_TIMEOUT_MS);

	if (ret <= 0 || msg.type != LIFE_BIRTH)
		die(EXIT_USAGE, "no supervisor on fd %d: see --help for how to start this by hand",
		    LIFE_FD);
	if (msg.u.birth.version != LIFE_VERSION)
		die(1, "the supervisor speaks version %u of the life channel, this speaks %u: install both from one build",
		    msg.u.birth.version, LIFE_VERSION);
	if (msg.u.birth.role != device_ops->life_role)
		die(1, "born as role %u, but this is bulkhead-%s",
		    msg.u.birth.role, device_ops->role);
	*birth = msg.u.birth;
	has_supervisor = true;
}

static void answer_ping(const struct life_msg *msg)
{
	(void)life_send(LIFE_FD, LIFE_PONG, &msg->u.ping, NULL, 0,
			TELL_TIMEOUT_MS);
}

static int say_ready(void)
{
	is_ready = true;
	return life_send(LIFE_FD, LIFE_READY, NULL, NULL, 0, TELL_TIMEOUT_MS);
}

void life_link_adoption(void)
{
	struct life_msg msg;
	int ret;

	if (say_ready())
		syscall(SYS_exit_group, 1);
	for (;;) {
		ret = life_recv(LIFE_FD, LIFE_SIDE_CHILD, &msg, -1);
		if (ret > 0 && msg.type == LIFE_ADOPT)
			return;
		if (ret > 0 && msg.type == LIFE_PING) {
			answer_ping(&msg);
			continue;
		}
		if (ret > 0)
			fdmsg_close_all(msg.fds, msg.nr_fds);
		/* Not exit(), see device_main(). */
		syscall(SYS_exit_group,
			ret < 0 || (ret > 0 && msg.type != LIFE_STOP));
	}
}

static void on_message(const struct life_msg *msg)
{
	switch (msg->type) {
	case LIFE_PING:
		answer_ping(msg);
		break;
	case LIFE_STOP:
		ops->stop();
		break;
	case LIFE_ATTACH:
		if (ops->attach)
			ops->attach(msg->fds[0]);
		else
			close(msg->fds[0]);
		break;
	default:
		if (ops->order && ops->order(msg))
			break;
		/* life_recv() let it pass, but it is for another role. */
		for (unsigned int i = 0; i < msg->nr_fds; i++)
			close(msg->fds[i]);
		log_warn("life channel: message %u is not for a device",
			 msg->type);
	}
}

static void on_life(struct loop_source *source, uint32_t events)
{
	struct life_msg msg;
	int ret = life_recv(LIFE_FD, LIFE_SIDE_CHILD, &msg, 0);

	(void)events;
	if (ret == -EAGAIN)
		return;
	if (ret > 0) {
		on_message(&msg);
		return;
	}
	loop_remove(source);
	if (ret < 0)
		log_err("life channel: the supervisor broke the protocol");
	/* The supervisor is gone, and nobody may outlive it. */
	loop_quit(ret < 0);
}

int life_link_start(const struct device_ops *device_ops)
{
	static struct loop_source source = LOOP_SOURCE_INIT(on_life);
	int ret;

	ops = device_ops;
	if (!has_supervisor)
		return 0;
	ret = loop_add(&source, LIFE_FD, EPOLLIN);
	return ret || is_ready ? ret : say_ready();
}

void life_link_tell(enum life_type type, const void *payload)
{
	if (has_supervisor)
		(void)life_send(LIFE_FD, type, payload, NULL, 0,
				TELL_TIMEOUT_MS);
}

void life_link_failed(const char *text)
{
	struct life_text last = { 0 };

	if (!has_supervisor)
		return;
	snprintf(last.text, sizeof(last.text), "%s", text);
	(void)life_send(LIFE_FD, LIFE_FAILED, &last, NULL, 0, TELL_TIMEOUT_MS);
}
