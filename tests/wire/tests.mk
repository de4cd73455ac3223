# SPDX-License-Identifier: Apache-2.0

$(eval $(call test,tests/wire/test_regchan,tests/wire/test_regchan.c ipc/regchan.c ipc/fdmsg.c,$(CHECK)))
$(eval $(call test,tests/wire/test_serial,tests/wire/test_serial.c tests/wire/child.c ipc/regchan.c ipc/life.c ipc/fdmsg.c,$(CHECK)))
$(eval $(call test,tests/wire/test_vhost_back,tests/wire/test_vhost_back.c tests/wire/child.c tests/wire/front.c ipc/vhost_user.c $(IPC),$(CHECK)))
$(eval $(call test,tests/wire/test_blk,tests/wire/test_blk.c tests/wire/child.c tests/wire/front.c tests/wire/front_blk.c ipc/vhost_user.c $(IPC),$(CHECK)))
$(eval $(call test,tests/wire/test_blk_by_hand,tests/wire/test_blk_by_hand.c tests/wire/front.c tests/wire/front_blk.c ipc/vhost_user.c $(IPC),$(CHECK)))
$(eval $(call test,tests/wire/test_faults,tests/wire/test_faults.c tests/wire/child.c tests/wire/front.c tests/wire/front_blk.c ipc/fault.c ipc/vhost_user.c $(IPC),$(CHECK)))
$(eval $(call test,tests/wire/test_faults_chars,tests/wire/test_faults_chars.c tests/wire/child.c tests/wire/front.c ipc/fault.c ipc/regchan.c ipc/vhost_user.c $(IPC),$(CHECK)))
$(eval $(call test,tests/wire/test_record,tests/wire/test_record.c cli/replay.c tests/wire/child.c tests/wire/front.c tests/wire/front_blk.c ipc/fault.c ipc/vhost_user.c $(IPC),$(CHECK)))
$(eval $(call test,tests/wire/test_console,tests/wire/test_console.c tests/wire/child.c tests/wire/front.c ipc/vhost_user.c $(IPC),$(CHECK)))
$(eval $(call test,tests/wire/test_rng,tests/wire/test_rng.c tests/wire/child.c tests/wire/front.c ipc/vhost_user.c $(IPC),$(CHECK)))
$(eval $(call test,tests/wire/test_vhost_front,tests/wire/test_vhost_front.c tests/wire/fake_backend.c $(FRONT) ipc/log.c ipc/fdmsg.c,$(CHECK)))
