/* SPDX-License-Identifier: Apache-2.0 */
/* devproc/blk/request.c: every request ends with the status it deserves. */
#include <check.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>

#include "devproc/blk/blk.h"

#define DISK_BYTES	(1ull << 20)
#define LAST_SECTOR	(DISK_BYTES / SECTOR_BYTES - 1)
#define TO_DO		(-1)

static struct blk_image image;
static struct blk_request req;

/* Guest memory. */
static struct virtio_blk_outhdr header;
static uint8_t data[16384];
static struct virtio_blk_discard_write_zeroes segment;
static uint8_t status;

static void set_up(void)
{
	image = (struct blk_image) {
		.bytes = DISK_BYTES, .block_bytes = 512, .memory_align = 512, .io_align = 512,
		.physical_bytes = 4096, .discard = true,
		.id = "0123456789abcdefghij",
	};
	memset(&req, 0, sizeof(req));
	memset(data, 0xaa, sizeof(data));
	memset(&segment, 0, sizeof(segment));
	req.chain.spans = req.spans;
	req.chain.max_spans = BLK_MAX_SPANS;
	status = 0xee;
}

static void add_out(void *base, size_t len)
{
	struct iovec *span = &req.spans[req.chain.nr_out + req.chain.nr_in];

	span->iov_base = base;
	span->iov_len = len;
	req.chain.nr_out++;
	req.chain.out_bytes += (uint32_t)len;
}

static void add_in(void *base, size_t len)
{
	struct iovec *span = &req.spans[req.chain.nr_out + req.chain.nr_in];

	span->iov_base = base;
	span->iov_len = len;
	req.chain.nr_in++;
	req.chain.in_bytes += (uint32_t)len;
}

/* header, out_len bytes out, in_len bytes in, status */
static int ask(uint32_t type, uint64_t sector, size_t out_len, size_t in_len)
{
	header = (struct virtio_blk_outhdr){ .type = type, .sector = sector };
	add_out(&header, sizeof(header));
	if (out_len)
		add_out(data, out_len);
	if (in_len)
		add_in(data, in_len);
	add_in(&status, 1);
	return request_parse(&req, &image);
}

static int ask_range(uint32_t type, uint64_t sector, uint32_t nr,
		     uint32_t flags)
{
	segment.sector = sector;
	segment.num_sectors = nr;
	segment.flags = flags;
	header = (struct virtio_blk_outhdr){ .type = type };
	add_out(&header, sizeof(header));
	add_out(&segment, sizeof(segment));
	add_in(&status, 1);
	return request_parse(&req, &image);
}

START_TEST(a_read_goes_to_the_data)
{
	ck_assert_int_eq(ask(VIRTIO_BLK_T_IN, 3, 0, 1024), TO_DO);
	ck_assert_int_eq(req.op, BLK_OP_READ);
	ck_assert_uint_eq(req.offset, 3 * 512);
	ck_assert_uint_eq(req.left, 1024);
	ck_assert_uint_eq(req.nr_data, 1);
	ck_assert_ptr_eq(req.data->iov_base, data);
	ck_assert_uint_eq(req.data->iov_len, 1024);
	ck_assert_uint_eq(request_finish(&req, VIRTIO_BLK_S_OK), 1025);
	ck_assert_uint_eq(status, VIRTIO_BLK_S_OK);
}

START_TEST(a_write_comes_from_the_data)
{
	ck_assert_int_eq(ask(VIRTIO_BLK_T_OUT, LAST_SECTOR, 512, 0), TO_DO);
	ck_assert_int_eq(req.op, BLK_OP_WRITE);
	ck_assert_uint_eq(req.offset, DISK_BYTES - 512);
	ck_assert_uint_eq(req.nr_data, 1);
	ck_assert_ptr_eq(req.data->iov_base, data);
	ck_assert_uint_eq(request_finish(&req, VIRTIO_BLK_S_OK), 1);
}

/* virtio 1.2, 2.7.4.1: the cuts between descriptors mean nothing. */
START_TEST(header_and_status_may_lie_anywhere)
{
	uint8_t out[16 + 1024];
	uint8_t in[512 + 1];

	header = (struct virtio_blk_outhdr) {
		.type = VIRTIO_BLK_T_OUT, .sector = 1,
	};
	memcpy(out, &header, 16);
	add_out(out, 5);
	add_out(out + 5, 5);
	add_out(out + 10, 106);
	add_out(out + 116, 924);
	add_in(&status, 1);
	ck_assert_int_eq(request_parse(&req, &image), TO_DO);
	ck_assert_uint_eq(req.left, 1024);
	ck_assert_uint_eq(req.nr_data, 2);
	ck_assert_ptr_eq(req.data[0].iov_base, out + 16);
	ck_assert_uint_eq(req.data[0].iov_len, 100);

	set_up();
	header.type = VIRTIO_BLK_T_IN;
	add_out(&header, 16);
	add_in(in, 100);
	add_in(in + 100, 413);
	ck_assert_int_eq(request_parse(&req, &image), TO_DO);
	ck_assert_uint_eq(req.left, 512);
	ck_assert_uint_eq(req.nr_data, 2);
	ck_assert_uint_eq(req.data[1].iov_len, 412);
	ck_assert_uint_eq(request_finish(&req, VIRTIO_BLK_S_OK), 513);
	ck_assert_uint_eq(in[512], VIRTIO_BLK_S_OK);
}

/* Reads and writes that are not of whole blocks within the disk. */
static const struct {
	uint64_t sector;
	size_t len;
} out_of_range[] = {
	{ LAST_SECTOR + 1, 512 },
	{ LAST_SECTOR, 1024 },
	{ 0, DISK_BYTES / 64 - 1 },
	{ 0, 511 },
	{ 0, 1 },
	{ UINT64_MAX, 512 },
	{ UINT64_MAX / 512 + 1, 512 },
	{ 1ull << 55, 512 },
};

START_TEST(out_of_range_is_an_error)
{
	ck_assert_int_eq(ask(VIRTIO_BLK_T_IN, out_of_range[_i].sector, 0,
			     out_of_range[_i].len), VIRTIO_BLK_S_IOERR);
	set_up();
	ck_assert_int_eq(ask(VIRTIO_BLK_T_OUT, out_of_range[_i].sector,
			     out_of_range[_i].len, 0), VIRTIO_BLK_S_IOERR);
}

START_TEST(an_error_claims_no_data)
{
	ck_assert_int_eq(ask(VIRTIO_BLK_T_IN, LAST_SECTOR + 1, 0, 512),
			 VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(request_finish(&req, VIRTIO_BLK_S_IOERR), 0);
	ck_assert_uint_eq(status, VIRTIO_BLK_S_IOERR);
	set_up();
	ck_assert_int_eq(ask(VIRTIO_BLK_T_OUT, LAST_SECTOR + 1, 512, 0),
			 VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(request_finish(&req, VIRTIO_BLK_S_IOERR), 1);
}

START_TEST(nothing_to_move_is_done)
{
	ck_assert_int_eq(ask(VIRTIO_BLK_T_IN, 0, 0, 0), VIRTIO_BLK_S_OK);
	set_up();
	ck_assert_int_eq(ask(VIRTIO_BLK_T_OUT, 0, 0, 0), VIRTIO_BLK_S_OK);
}

START_TEST(blocks_of_4096_are_whole)
{
	image.block_bytes = 4096;
	ck_assert_int_eq(ask(VIRTIO_BLK_T_IN, 0, 0, 512), VIRTIO_BLK_S_IOERR);
	set_up();
	image.block_bytes = 4096;
	ck_assert_int_eq(ask(VIRTIO_BLK_T_IN, 1, 0, 4096),
			 VIRTIO_BLK_S_IOERR);
	set_up();
	image.block_bytes = 4096;
	ck_assert_int_eq(ask(VIRTIO_BLK_T_IN, 8, 0, 4096), TO_DO);
}

START_TEST(a_read_only_disk_is_not_written)
{
	image.read_only = true;
	image.discard = false;
	ck_assert_int_eq(ask(VIRTIO_BLK_T_OUT, 0, 512, 0),
			 VIRTIO_BLK_S_IOERR);
	set_up();
	image.read_only = true;
	image.discard = false;
	ck_assert_int_eq(ask_range(VIRTIO_BLK_T_DISCARD, 0, 8, 0),
			 VIRTIO_BLK_S_IOERR);
	set_up();
	image.read_only = true;
	ck_assert_int_eq(ask(VIRTIO_BLK_T_IN, 0, 0, 512), TO_DO);
}

/* Whatever else the image is said to allow: found by tests/fuzz/fuzz_blk.c. */
START_TEST(a_read_only_disk_forgets_nothing)
{
	static const uint32_t types[] = {
		VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES,
	};

	image.read_only = true;
	image.discard = true;
	ck_assert_int_eq(ask_range(types[_i], 0, 8, 0), VIRTIO_BLK_S_IOERR);
}

START_TEST(a_chain_without_status_byte_ends_empty)
{
	header = (struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_OUT };
	add_out(&header, 16);
	add_out(data, 512);
	ck_assert_int_ge(request_parse(&req, &image), 0);
	ck_assert_uint_eq(request_finish(&req, VIRTIO_BLK_S_IOERR), 0);
}

START_TEST(a_short_header_is_an_error)
{
	add_out(&header, 15);
	add_in(&status, 1);
	ck_assert_int_eq(request_parse(&req, &image), VIRTIO_BLK_S_IOERR);
	set_up();
	add_in(&status, 1);
	ck_assert_int_eq(request_parse(&req, &image), VIRTIO_BLK_S_IOERR);
}

START_TEST(a_cut_chain_is_an_error)
{
	req.chain.cut = true;
	ck_assert_int_eq(ask(VIRTIO_BLK_T_IN, 0, 0, 512), VIRTIO_BLK_S_IOERR);
	ck_assert_ptr_eq(req.status_byte, &status);
}

START_TEST(unknown_types_are_unsupported)
{
	static const uint32_t types[] = {
		2, 3, 5, 7, 9, 10, 12, 14, 16, 100, 0x80000000, UINT32_MAX,
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		set_up();
		ck_assert_int_eq(ask(types[i], 0, 0, 512),
				 VIRTIO_BLK_S_UNSUPP);
	}
}

START_TEST(the_id_fits_its_buffer)
{
	ck_assert_int_eq(ask(VIRTIO_BLK_T_GET_ID, 0, 0, 20), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(memcmp(data, image.id, 20), 0);
	ck_assert_uint_eq(request_finish(&req, VIRTIO_BLK_S_OK), 21);
	set_up();
	ck_assert_int_eq(ask(VIRTIO_BLK_T_GET_ID, 0, 0, 7), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(memcmp(data, image.id, 7), 0);
	ck_assert_uint_eq(data[7], 0xaa);
	set_up();
	ck_assert_int_eq(ask(VIRTIO_BLK_T_GET_ID, 0, 0, 0), VIRTIO_BLK_S_OK);
}

START_TEST(a_flush_is_to_do)
{
	ck_assert_int_eq(ask(VIRTIO_BLK_T_FLUSH, 0, 0, 0), TO_DO);
	ck_assert_int_eq(req.op, BLK_OP_FLUSH);
}

static const struct {
	uint32_t type;
	uint64_t sector;
	uint32_t nr, flags;
	int result;
	enum blk_op op;
} ranges[] = {
	{ VIRTIO_BLK_T_DISCARD, 8, 16, 0, TO_DO, BLK_OP_DISCARD },
	{ VIRTIO_BLK_T_WRITE_ZEROES, 8, 16, 0, TO_DO, BLK_OP_ZERO },
	{ VIRTIO_BLK_T_WRITE_ZEROES, 8, 16, 1, TO_DO, BLK_OP_ZERO_UNMAP },
	{ VIRTIO_BLK_T_DISCARD, 0, 0, 0, VIRTIO_BLK_S_OK, 0 },
	{ VIRTIO_BLK_T_DISCARD, 8, 16, 1, VIRTIO_BLK_S_UNSUPP, 0 },
	{ VIRTIO_BLK_T_DISCARD, 8, 16, 2, VIRTIO_BLK_S_UNSUPP, 0 },
	{ VIRTIO_BLK_T_WRITE_ZEROES, 8, 16, 2, VIRTIO_BLK_S_UNSUPP, 0 },
	{ VIRTIO_BLK_T_WRITE_ZEROES, 8, 16, 3, VIRTIO_BLK_S_UNSUPP, 0 },
	{ VIRTIO_BLK_T_DISCARD, LAST_SECTOR, 2, 0, VIRTIO_BLK_S_IOERR, 0 },
	{ VIRTIO_BLK_T_DISCARD, LAST_SECTOR + 2, 1, 0, VIRTIO_BLK_S_IOERR, 0 },
	{ VIRTIO_BLK_T_DISCARD, UINT64_MAX, 1, 0, VIRTIO_BLK_S_IOERR, 0 },
	{ VIRTIO_BLK_T_DISCARD, 0, UINT32_MAX, 0, VIRTIO_BLK_S_IOERR, 0 },
	{ VIRTIO_BLK_T_WRITE_ZEROES, 0, BLK_ZEROES_MAX_SECTORS + 1, 0,
	  VIRTIO_BLK_S_IOERR, 0 },
};

START_TEST(ranges_are_checked)
{
	ck_assert_int_eq(ask_range(ranges[_i].type, ranges[_i].sector,
				   ranges[_i].nr, ranges[_i].flags),
			 ranges[_i].result);
	if (ranges[_i].result != TO_DO)
		return;
	ck_assert_int_eq(req.op, (int)ranges[_i].op);
	ck_assert_uint_eq(req.offset, ranges[_i].sector * 512);
	ck_assert_uint_eq(req.left, ranges[_i].nr * 512);
}

START_TEST(two_ranges_are_one_too_many)
{
	ck_assert_int_eq(ask(VIRTIO_BLK_T_DISCARD, 0, 32, 0),
			 VIRTIO_BLK_S_IOERR);
	set_up();
	ck_assert_int_eq(ask(VIRTIO_BLK_T_DISCARD, 0, 15, 0),
			 VIRTIO_BLK_S_IOERR);
	set_up();
	image.discard = false;
	ck_assert_int_eq(ask_range(VIRTIO_BLK_T_DISCARD, 0, 8, 0),
			 VIRTIO_BLK_S_UNSUPP);
}

START_TEST(progress_moves_through_the_data)
{
	header = (struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_IN };
	add_out(&header, 16);
	add_in(data, 1024);
	add_in(data + 4096, 512);
	add_in(&status, 1);
	ck_assert_int_eq(request_parse(&req, &image), TO_DO);
	request_advance(&req, 512);
	ck_assert_ptr_eq(req.data->iov_base, data + 512);
	ck_assert_uint_eq(req.data->iov_len, 512);
	request_advance(&req, 600);
	ck_assert_uint_eq(req.nr_data, 1);
	ck_assert_ptr_eq(req.data->iov_base, data + 4096 + 88);
	ck_assert_uint_eq(req.offset, 1112);
	request_advance(&req, 424);
	ck_assert_uint_eq(req.left, 0);
	ck_assert_uint_eq(req.nr_data, 0);
	ck_assert_uint_eq(request_finish(&req, VIRTIO_BLK_S_OK), 1537);
}

/* virtio 1.2, 5.2.6.2: what ends stable if the driver does not flush */
START_TEST(without_flush_a_write_becomes_one)
{
	static const struct {
		enum blk_op op;
		bool writes;
	} ops[] = {
		{ BLK_OP_READ, false }, { BLK_OP_WRITE, true },
		{ BLK_OP_FLUSH, false }, { BLK_OP_DISCARD, false },
		{ BLK_OP_ZERO, true }, { BLK_OP_ZERO_UNMAP, true },
		{ BLK_OP_ZERO_WRITE, true },
	};

	req.op = (uint8_t)ops[_i].op;
	ck_assert(!request_becomes_flush(&req, &image));
	ck_assert_int_eq(req.op, ops[_i].op);
	image.write_through = true;
	ck_assert(request_becomes_flush(&req, &image) == ops[_i].writes);
	ck_assert_int_eq(req.op, ops[_i].writes ? BLK_OP_FLUSH : ops[_i].op);
	/* Once. */
	ck_assert(!request_becomes_flush(&req, &image));
}

START_TEST(alignment_is_of_every_span)
{
	static _Alignas(4096) uint8_t aligned[8192];

	req.data = req.spans;
	req.nr_data = 2;
	req.spans[0] = (struct iovec){ aligned, 4096 };
	req.spans[1] = (struct iovec){ aligned + 512, 512 };
	ck_assert(request_aligned(&req, &image));
	req.spans[1].iov_base = aligned + 256;
	ck_assert(!request_aligned(&req, &image));
	req.spans[1] = (struct iovec){ aligned, 100 };
	ck_assert(!request_aligned(&req, &image));
	image.memory_align = 1;
	ck_assert(request_aligned(&req, &image));
}

#define LENGTH(array)	((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	Suite *suite = suite_create("blk_request");
	TCase *tc = tcase_create("blk_request");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, a_read_goes_to_the_data);
	tcase_add_test(tc, a_write_comes_from_the_data);
	tcase_add_test(tc, header_and_status_may_lie_anywhere);
	tcase_add_loop_test(tc, out_of_range_is_an_error, 0,
			    LENGTH(out_of_range));
	tcase_add_test(tc, an_error_claims_no_data);
	tcase_add_test(tc, nothing_to_move_is_done);
	tcase_add_test(tc, blocks_of_4096_are_whole);
	tcase_add_test(tc, a_read_only_disk_is_not_written);
	tcase_add_loop_test(tc, a_read_only_disk_forgets_nothing, 0, 2);
	tcase_add_test(tc, a_chain_without_status_byte_ends_empty);
	tcase_add_test(tc, a_short_header_is_an_error);
	tcase_add_test(tc, a_cut_chain_is_an_error);
	tcase_add_test(tc, unknown_types_are_unsupported);
	tcase_add_test(tc, the_id_fits_its_buffer);
	tcase_add_test(tc, a_flush_is_to_do);
	tcase_add_loop_test(tc, ranges_are_checked, 0,
			    LENGTH(ranges));
	tcase_add_test(tc, two_ranges_are_one_too_many);
	tcase_add_test(tc, progress_moves_through_the_data);
	tcase_add_loop_test(tc, without_flush_a_write_becomes_one, 0, 7);
	tcase_add_test(tc, alignment_is_of_every_span);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
