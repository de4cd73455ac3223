/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The register channel, both ends: datagrams of any size with any number of
 * fds reach the device, and a device's answers of any kind reach the core.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "ipc/regchan.h"
#include "tests/fuzz/fuzz.h"

#define MAX_DATAGRAMS	16
#define MAX_FDS		4

static int pair[2];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_reserve_fds();
	return 0;
}

static void send_datagram(struct fuzz_input *in)
{
	uint8_t how = (uint8_t)fuzz_take(in, 1);
	size_t len = how & 0x1f;
	const int fds[MAX_FDS] = { pair[0], pair[1], pair[0], pair[1] };
	uint8_t bytes[32];

	fuzz_take_bytes(in, bytes, sizeof(bytes));
	fdmsg_send(pair[0], bytes, len ? len : sizeof(struct regchan_request),
		   fds, how >> 5 < 5 ? 0 : (how >> 5) - 4, 0);
}

static void device_side(void)
{
	struct regchan_request req;
	int irq_fd;

	while (regchan_take(pair[1], &req, &irq_fd) == 1) {
		fuzz_check((irq_fd >= 0) == (req.op == REGCHAN_SET_IRQ));
		fuzz_check(req.op >= REGCHAN_READ && req.op <= REGCHAN_RESET);
		fuzz_check(req.pad == 0);
		if (req.op == REGCHAN_READ || req.op == REGCHAN_WRITE)
			fuzz_check(req.size == 1 || req.size == 2 ||
				   req.size == 4);
		if (irq_fd >= 0)
			close(irq_fd);
	}
}

static void core_side(struct fuzz_input *in)
{
	struct regchan_request req = {
		.seq = (uint32_t)fuzz_take(in, 1), .size = 1,
	};
	uint32_t value;
	int err;

	/* All answers are there; after them the line is dead. */
	shutdown(pair[0], SHUT_WR);
	err = regchan_read(pair[1], &req, &value, 1000);
	fuzz_check(err == 0 || err == -EPIPE || err == -EPROTO);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	uint8_t side = (uint8_t)fuzz_take(&in, 1);

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		abort();
	for (int i = 0; i < MAX_DATAGRAMS && in.left > 0; i++)
		send_datagram(&in);
	if (side & 1)
		device_side();
	else
		core_side(&in);
	close(pair[0]);
	close(pair[1]);
	return 0;
}
