/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/client.c: whose supervisor a client believes.  Without a runtime folder
 * of the system's, that folder is in /tmp, where anybody may be the first.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/client.h"

#define SOMEBODY	65533
#define SOMEBODY_ELSE	65532

static char dir[] = "/tmp/test_client.XXXXXX";

static void listen_as(uid_t uid, int ready)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM, 0);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/vm.sock", dir);
	unlink(addr.sun_path);
	umask(0);
	if (setresuid(uid, uid, uid) ||
	    bind(sock, (const struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(sock, 1) || write(ready, "", 1) != 1)
		_exit(1);
	pause();
}

static void connect_as(uid_t uid)
{
	char why[CLIENT_WHY_MAX] = "";
	struct client_conn conn;

	if (setresuid(uid, uid, uid))
		_exit(2);
	if (!client_connect("vm", &conn, why))
		_exit(0);
	_exit(strstr(why, "another user") ? 1 : 3);
}

/* Return: 0 connected, 1 refused because of the listener's uid. */
static int meet(uid_t listener, uid_t client)
{
	pid_t server, visitor;
	int ready[2], status;
	char byte;

	ck_assert_int_eq(pipe(ready), 0);
	server = fork();
	if (server == 0)
		listen_as(listener, ready[1]);
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	visitor = fork();
	if (visitor == 0)
		connect_as(client);
	ck_assert_int_eq(waitpid(visitor, &status, 0), visitor);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(another_users_answers_are_not_asked_for)
{
	ck_assert_int_eq(meet(SOMEBODY, SOMEBODY), 0);
	ck_assert_int_eq(meet(0, SOMEBODY), 0);
	ck_assert_int_eq(meet(SOMEBODY_ELSE, SOMEBODY), 1);
	ck_assert_int_eq(meet(SOMEBODY, 0), 0);
}
END_TEST

/* Root may look at anybody's VMs, and prints what it hears. */
START_TEST(answers_do_not_steer_the_terminal)
{
	static const char line[] =
		"{\"ok\":true,\"a\":[\"\\u001b[2Jx\\u009b1my\"],"
		"\"b\":{\"c\":\"tab\\tbell\\u0007\\u007f\",\"d\":\"caf\u00e9 \u20ac\"}}\n";
	struct client_conn conn = { .buf = malloc(1u << 20) };
	char why[CLIENT_WHY_MAX];
	json_t *reply;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	conn.fd = pair[0];
	ck_assert_int_eq(write(pair[1], line, strlen(line)), strlen(line));
	reply = client_next(&conn, 1000, why);
	ck_assert_ptr_nonnull(reply);
	ck_assert_str_eq(json_string_value(json_array_get(
				json_object_get(reply, "a"), 0)), "?[2Jx?1my");
	ck_assert_str_eq(json_string_value(json_object_get(
				json_object_get(reply, "b"), "c")),
			 "tab?bell??");
	ck_assert_str_eq(json_string_value(json_object_get(
				json_object_get(reply, "b"), "d")),
			 "caf\u00e9 \u20ac");
	json_decref(reply);
	client_close(&conn);
	close(pair[1]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("client");
	TCase *tcase = tcase_create("client");
	char path[64];
	SRunner *runner;
	int failed;

	if (geteuid() != 0) {
		puts("ok 1 - another_users_answers_are_not_asked_for # SKIP only root can be two users\n1..1");
		return EXIT_SUCCESS;
	}
	if (!mkdtemp(dir) || chmod(dir, 0777) ||
	    setenv("BULKHEAD_RUNTIME_DIR", dir, 1))
		return EXIT_FAILURE;
	tcase_add_test(tcase, answers_do_not_steer_the_terminal);
	tcase_add_test(tcase, another_users_answers_are_not_asked_for);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	snprintf(path, sizeof(path), "%s/vm.sock", dir);
	unlink(path);
	rmdir(dir);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
