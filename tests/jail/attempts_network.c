/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts to reach a network or another process's socket. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/jail/probe.h"

static int unix_connect(const struct sockaddr_un *addr, size_t path_bytes)
{
	int sock = socket(AF_UNIX, SOCK_STREAM, 0);

	if (sock < 0)
		return -errno;
	return attempt_outcome(connect(sock, (const struct sockaddr *)addr,
				       (socklen_t)(offsetof(struct sockaddr_un,
							    sun_path) +
						   path_bytes)));
}

static int try_abstract_socket(const struct probe_page *page)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t len = strlen(page->abstract);

	memcpy(addr.sun_path + 1, page->abstract, len);
	return unix_connect(&addr, len + 1);
}

static int try_path_socket(const struct probe_page *page)
{
	const struct sockaddr_un addr = {
		.sun_family = AF_UNIX,
		.sun_path = "/run/systemd/private",
	};

	(void)page;
	return unix_connect(&addr, sizeof(addr.sun_path));
}

static int inet_socket(int type, int protocol, uint32_t port,
		       struct sockaddr_in *addr)
{
	*addr = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	return socket(AF_INET, type, protocol);
}

static int try_tcp_connect(const struct probe_page *page)
{
	struct sockaddr_in addr;
	int sock = inet_socket(SOCK_STREAM, 0, page->tcp_port, &addr);

	if (sock < 0)
		return -errno;
	return attempt_outcome(connect(sock, (struct sockaddr *)&addr,
				       sizeof(addr)));
}

static int try_tcp_bind(const struct probe_page *page)
{
	struct sockaddr_in addr;
	int sock = inet_socket(SOCK_STREAM, 0, 0, &addr);

	(void)page;
	if (sock < 0)
		return -errno;
	return attempt_outcome(bind(sock, (struct sockaddr *)&addr,
				    sizeof(addr)));
}

static int try_udp_send(const struct probe_page *page)
{
	struct sockaddr_in addr;
	int sock = inet_socket(SOCK_DGRAM, 0, page->tcp_port, &addr);

	if (sock < 0)
		return -errno;
	return attempt_outcome(sendto(sock, "x", 1, 0,
				      (struct sockaddr *)&addr, sizeof(addr)));
}

static int try_raw_socket(const struct probe_page *page)
{
	struct sockaddr_in addr;

	(void)page;
	return attempt_outcome(inet_socket(SOCK_RAW, IPPROTO_ICMP, 0, &addr));
}

static int try_packet_socket(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(socket(AF_PACKET, SOCK_RAW, 0));
}

static int try_raise_loopback(const struct probe_page *page)
{
	struct ifreq request = {
		.ifr_name = "lo",
		.ifr_flags = IFF_UP,
	};
	int sock = socket(AF_UNIX, SOCK_DGRAM, 0);

	(void)page;
	if (sock < 0)
		return -errno;
	return attempt_outcome(ioctl(sock, SIOCSIFFLAGS, &request));
}

static int try_vsock(const struct probe_page *page)
{
	const struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_HOST,
		.svm_port = 1024,
	};
	int sock = socket(AF_VSOCK, SOCK_STREAM, 0);

	(void)page;
	if (sock < 0)
		return -errno;
	return attempt_outcome(connect(sock, (const struct sockaddr *)&addr,
				       sizeof(addr)));
}

const struct attempt attempts_network[] = {
	{ "connect to an abstract socket", try_abstract_socket, 0, NULL },
	{ "connect to a socket by path", try_path_socket, 0, NULL },
	{ "connect by TCP", try_tcp_connect, 0, NULL },
	{ "bind a TCP port", try_tcp_bind, EXCUSE_NO_LANDLOCK_NET,
	  "nobody can come through a loopback of its own that is down" },
	{ "send by UDP", try_udp_send, 0, NULL },
	{ "raw socket", try_raw_socket, 0, NULL },
	{ "packet socket", try_packet_socket, 0, NULL },
	{ "raise the loopback", try_raise_loopback, 0, NULL },
	{ "connect by vsock", try_vsock, EXCUSE_ALWAYS,
	  "vsock has no namespaces; it is the policies that refuse sockets" },
	{ NULL, NULL, 0, NULL }
};
