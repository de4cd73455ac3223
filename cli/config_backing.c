/* SPDX-License-Identifier: Apache-2.0 */
/*
 * [blk] backing: what is behind a disk image, as the operator says it (C1).
 * The image names its backing file too, but nobody opens what that says.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/config_priv.h"

static const char *const formats[] = {
	[LIFE_BLK_RAW] = "raw",
	[LIFE_BLK_QCOW2] = "qcow2",
};

const char *config_format_name(int format)
{
	return formats[format];
}

int config_find_format(const char *name)
{
	for (int i = 0; i <= LIFE_BLK_QCOW2; i++)
		if (!strcmp(formats[i], name))
			return i;
	return -1;
}

const char *config_parse_format(const struct config_value_context *in,
				void *dest)
{
	int format = config_find_format(in->value);

	if (format < 0)
		return "expected raw or qcow2";
	*(int *)dest = format;
	return NULL;
}

/* "FILE:FORMAT", without blanks around it. */
static const char *parse_one(const struct config_value_context *in,
			     char *text, struct config_backing *backing)
{
	struct config_value_context path = *in;
	char *colon = strrchr(text, ':');

	if (!colon || config_find_format(colon + 1) < 0)
		return "expected FILE:FORMAT, FILE:FORMAT, ..., nearest to the image first, FORMAT raw or qcow2";
	backing->format = config_find_format(colon + 1);
	*colon = '\0';
	path.value = text;
	return config_parse_path(&path, &backing->file);
}

static char *trim(char *text)
{
	size_t len;

	text += strspn(text, " \t");
	len = strlen(text);
	while (len > 0 && strchr(" \t", text[len - 1]))
		len--;
	text[len] = '\0';
	return text;
}

void config_free_chain(struct config_chain *chain)
{
	for (unsigned int i = 0; i < chain->nr; i++) {
		free(chain->backing[i].file.path);
		free(chain->backing[i].file.origin);
	}
	memset(chain, 0, sizeof(*chain));
}

const char *config_parse_chain(const struct config_value_context *in,
			       void *dest)
{
	struct config_chain *chain = dest;
	char *copy = strdup(in->value), *rest = copy, *text;
	const char *why = NULL;

	if (!copy)
		return "out of memory";
	config_free_chain(chain);
	while (!why && (text = strsep(&rest, ","))) {
		if (chain->nr == CONFIG_MAX_BACKING) {
			why = "more than 8 backing files";
			break;
		}
		/* Counted first: what there is of it is freed. */
		why = parse_one(in, trim(text), &chain->backing[chain->nr++]);
	}
	free(copy);
	return why;
}
