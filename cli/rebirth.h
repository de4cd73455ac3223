/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rebirth (C7): a device whose process dies while the guest runs gets another
 * one, from what the supervisor kept.  Part of struct device.
 */
#ifndef CLI_REBIRTH_H
#define CLI_REBIRTH_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct child;
struct device;
struct vm;

enum rebirth_state {
	REBIRTH_NONE,		/* a process serves, or nobody looks after it */
	REBIRTH_PUT_OFF,	/* no process; the next one is due at due_ms */
	REBIRTH_UNDER_WAY,	/* READY is due by due_ms */
	REBIRTH_DRAINING,	/* told to stop for a new one; killed at due_ms */
	REBIRTH_GIVEN_UP,	/* it died too often: the guest was told */
	REBIRTH_AWAITED,	/* no process, and the VM is paused: a command is due */
	REBIRTH_NR_STATES,
};

struct rebirth {
	enum rebirth_state state;
	long long due_ms;	/* 0: nothing is */
	int core_fd;		/* the new link, until the core has it; -1 */
	uint32_t link;		/* number of the newest link */
	bool needs_reset;	/* the guest must reset the device first */
	unsigned int nr_fast;	/* deaths in a row, each soon after the birth */
	unsigned int nr_window;	/* deaths since window_ms */
	long long window_ms;
	long long died_us;	/* when the supervisor saw the death */
	long long pinged_ms;	/* an answer is due since then; 0: none is */
	uint64_t cookie;	/* of that ping */
};

/* A new life of the guest: no deaths yet. */
void rebirth_begin(struct device *dev);

/* The VM ends: no births any more. */
void rebirth_cancel(struct vm *vm);

/*
 * A device's process is buried.  Return: true, its rebirth is under way, or
 * the device was given up, and the VM goes on; false, the VM ends with it.
 * how: as death_describe() says.
 */
bool rebirth_of_dead(struct device *dev, const char *how,
		     const siginfo_t *info);

/*
 * A foreign back-end hung up.  Return: true, it is looked for again; false,
 * the VM ends with it.  in_flight: it had requests that nobody else knows.
 */
bool rebirth_of_foreign(struct device *dev, const char *text, bool in_flight);

/* A reborn process is READY: give the core its link. */
void rebirth_ready(struct device *dev);

/*
 * Exchange the process for a new one, of the program as it is on disk now:
 * it finishes what it has in hand first.
 * Return: 0, or -errno with a line in why (VM_WHY_MAX).
 */
int rebirth_exchange(struct device *dev, char *why);

/*
 * on_crash = pause: bring back the process of a device whose death has paused
 * the VM; the VM goes on with it, when it was the last.  Of all such devices:
 * the VM is to end, and its guest is to take part.
 */
void rebirth_resume(struct device *dev);
void rebirth_resume_all(struct vm *vm);

/* A pong has come. */
void rebirth_pong(struct device *dev, uint64_t cookie);

/* Next thing to do, fdmsg_now_ms() scale; 0: none.  Do what is due. */
long long rebirth_due_ms(const struct vm *vm);
void rebirth_expire(struct vm *vm);

/* For ps: a word that says more than the process's state; NULL: none. */
const char *rebirth_state_name(const struct device *dev);

#endif
