/* SPDX-License-Identifier: Apache-2.0 */
/* bulkhead top: the processes of all VMs, what they do and what they cost. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/top.h"
#include "ipc/fdmsg.h"

#define INTERVAL_MS	2000
#define INTERVAL_MIN_S	0.1
#define INTERVAL_MAX_S	4.0	/* supervisors hang up on who asks nothing for 5 s */

struct options {
	int interval_ms;
	enum top_order order;
	bool once;
};

static volatile sig_atomic_t ended;	/* by which signal */
static volatile sig_atomic_t stopped;	/* Ctrl-Z */

static void on_signal(int signal)
{
	if (signal == SIGTSTP)
		stopped = 1;
	else if (signal != SIGWINCH)
		ended = signal;
}

/* Blocked but while we wait, so that none comes between a test and the wait. */
static void take_signals(sigset_t *while_waiting)
{
	static const int signals[] = {
		SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH,
	};
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t blocked;

	sigemptyset(&blocked);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		sigaddset(&blocked, signals[i]);
		sigaction(signals[i], &action, NULL);
	}
	sigprocmask(SIG_BLOCK, &blocked, while_waiting);
	signal(SIGPIPE, SIG_IGN);
}

/* --- the screen -------------------------------------------------------------- */

static int show(struct top *top, enum top_order order)
{
	char *frame = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&frame, &len);

	if (!to)
		return -ENOMEM;
	top_print(&top->table, order, screen_lines() - 1, SCREEN_EOL, to);
	fprintf(to, "q quit; sort by n name, c CPU, m memory, i IOPS, b bytes, l latency, e exits\033[K");
	fclose(to);
	screen_show(frame, len);
	free(frame);
	return 0;
}

/* As a shell expects it of Ctrl-Z: the terminal is its own meanwhile. */
static int stop_for_a_while(void)
{
	screen_close();
	stopped = 0;
	raise(SIGSTOP);
	return screen_open();
}

/* Return: false, to end. */
static bool take_keys(struct options *options)
{
	char keys[32];
	ssize_t nr = read(STDIN_FILENO, keys, sizeof(keys));

	/* Readable, and nothing there: the terminal is gone. */
	if (nr <= 0)
		return nr < 0 && (errno == EAGAIN || errno == EINTR);
	for (ssize_t i = 0; i < nr; i++) {
		enum top_order order = top_order_of(keys[i]);

		if (keys[i] == 'q')
			return false;
		if (order < TOP_NR_ORDERS)
			options->order = order;
	}
	return true;
}

/* Until it is time for the next sample.  Return: false, to end. */
static bool wait_for_turn(struct top *top, struct options *options,
			  const sigset_t *mask)
{
	long long end_ms = fdmsg_now_ms() + options->interval_ms;

	while (!ended) {
		struct pollfd keys = { .fd = STDIN_FILENO, .events = POLLIN };
		long long left = end_ms - fdmsg_now_ms();
		struct timespec limit = {
			.tv_sec = left / 1000,
			.tv_nsec = left % 1000 * 1000000,
		};
		int nr;

		if (left <= 0)
			return true;
		nr = ppoll(&keys, 1, &limit, mask);
		if (stopped && stop_for_a_while())
			return false;
		if (nr > 0 && !take_keys(options))
			return false;
		if (show(top, options->order))
			return false;
	}
	return false;
}

static int run_screen(struct top *top, struct options *options)
{
	char why[CLIENT_WHY_MAX] = "";
	sigset_t while_waiting;
	int ret = 0;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		log_err("top: not a terminal; 'bulkhead top --once' prints to anything");
		return EXIT_FAILURE;
	}
	take_signals(&while_waiting);
	ret = top_sample(top, why);
	if (!ret && screen_open())
		ret = -ENOTTY;
	if (ret == -ENOTTY)
		snprintf(why, sizeof(why), "the terminal cannot be used");
	while (!ret) {
		if (show(top, options->order) ||
		    !wait_for_turn(top, options, &while_waiting))
			break;
		ret = top_sample(top, why);
	}
	screen_close();
	if (!ret)
		return ended ? 128 + ended : EXIT_SUCCESS;
	log_err("%s", why);
	return EXIT_FAILURE;
}

/* --- the command --------------------------------------------------------------- */

static int run_once(struct top *top, const struct options *options)
{
	char why[CLIENT_WHY_MAX];
	int ret = top_sample(top, why);

	if (!ret) {
		usleep((useconds_t)options->interval_ms * 1000);
		ret = top_sample(top, why);
	}
	if (ret) {
		log_err("%s", why);
		return EXIT_FAILURE;
	}
	top_print(&top->table, options->order, UINT_MAX, "\n", stdout);
	return fflush(stdout) || ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int parse_interval(const char *text, struct options *options)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= INTERVAL_MIN_S) ||
	    seconds > INTERVAL_MAX_S)
		return -EINVAL;
	options->interval_ms = (int)(seconds * 1000);
	return 0;
}

static int parse(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {
		{ "once", no_argument, NULL, 'o' },
		{ "interval", required_argument, NULL, 'd' },
		{ "sort", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		if (option == 'o')
			options->once = true;
		else if (option == 's' && optarg[0] && !optarg[1])
			options->order = top_order_of(optarg[0]);
		else if (option == 's')
			options->order = TOP_NR_ORDERS;
		else if (option != 'd')
			return cmd_bad_option(&cmd_top, argc, argv);
		else if (parse_interval(optarg, options))
			return cmd_usage_error(&cmd_top,
					       "--interval %s: expected seconds from %.1f to %.0f",
					       optarg, INTERVAL_MIN_S,
					       INTERVAL_MAX_S);
	}
	if (options->order == TOP_NR_ORDERS)
		return cmd_usage_error(&cmd_top,
				       "--sort: expected one of n, c, m, i, b, l, e");
	if (argc - optind > 1)
		return cmd_usage_error(&cmd_top, "at most one VM can be named");
	return 0;
}

static int run_top(int argc, char **argv)
{
	struct options options = {
		.interval_ms = INTERVAL_MS, .order = TOP_BY_NAME,
	};
	struct top top = { 0 };
	int status = parse(argc, argv, &options);

	if (status)
		return status;
	top.only = argv[optind];
	status = options.once ? run_once(&top, &options) :
				run_screen(&top, &options);
	top_drop(&top);
	return status;
}

const struct command cmd_top = {
	.name = "top",
	.args = "[NAME] [--once] [--interval SECONDS] [--sort KEY]",
	.summary = "The processes of the running VMs, refreshed",
	.help = "      --once              print once, after one interval\n"
		"      --interval SECONDS  between two looks, 0.1 to 4 (2)\n"
		"      --sort KEY          n name, c CPU, m memory, i IOPS, b bytes,\n"
		"                          l latency, e exits; the same keys sort the screen,\n"
		"                          q leaves it\n",
	.run = run_top,
};
