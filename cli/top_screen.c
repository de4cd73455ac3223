/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal of `bulkhead top`: the other screen, no cursor, keys one by
 * one, and all of it undone at the end.  Plain escapes that every terminal of
 * the last decades has (ECMA-48, xterm's 1049).
 */
#include <errno.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/top.h"

#define LINES_DEFAULT	24

static struct termios saved;
static bool is_open;

static void put(const char *text, size_t len)
{
	while (len > 0) {
		ssize_t done = write(STDOUT_FILENO, text, len);

		if (done < 0 && errno != EINTR)
			return;
		if (done > 0) {
			text += done;
			len -= (size_t)done;
		}
	}
}

#define PUT(literal)	put(literal, sizeof(literal) - 1)

int screen_open(void)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &saved) < 0)
		return -errno;
	raw = saved;
	/* Ctrl-C and Ctrl-Z stay signals. */
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
		return -errno;
	is_open = true;
	PUT("\033[?1049h\033[?25l\033[2J");
	return 0;
}

void screen_close(void)
{
	if (!is_open)
		return;
	is_open = false;
	PUT("\033[?25h\033[?1049l");
	tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
}

unsigned int screen_lines(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0)
		return LINES_DEFAULT;
	return size.ws_row;
}

void screen_show(const char *text, size_t len)
{
	PUT("\033[H");
	put(text, len);
	PUT("\033[J");
}
