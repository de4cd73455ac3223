# SPDX-License-Identifier: Apache-2.0

# $(call fuzz,NAME,SOURCES,LIBRARIES): the target with libFuzzer, which is
# $(O)/fuzz_NAME (make fuzz), and with replay.c, which is a test.
define fuzz
$(call test,tests/fuzz/test_fuzz_$(1),tests/fuzz/fuzz_$(1).c tests/fuzz/replay.c tests/tap.c $(FUZZ) $(2),$(3))
$(O)/fuzz_$(1): $(call objects,tests/fuzz/fuzz_$(1).c $(FUZZ) $(2))
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(MODE) -fsanitize=fuzzer -pthread -o $$@ $$^ $(3)
FUZZERS += $(O)/fuzz_$(1)
endef
FUZZ := tests/fuzz/fuzz.c
# The inputs are the same whether a log line can be written or not.
FUZZ_LOG := ipc/log.c
FUZZ_RING := tests/fuzz/ring.c $(VRING) devproc/stats.c devproc/walk.c $(FUZZ_LOG)
FUZZ_FRONT := tests/fuzz/inline_backend.c $(FRONT) $(FUZZ_LOG)
$(eval $(call fuzz,vring,$(FUZZ_RING)))
$(eval $(call fuzz,blk,devproc/blk/request.c $(FUZZ_RING)))
$(eval $(call fuzz,vhost_back,tests/fuzz/fake_loop.c devproc/stats.c devproc/walk.c ipc/fdmsg.c $(filter-out $(DEVICE) devproc/vhost_fault.c,$(VHOST)) $(FUZZ_LOG)))
$(eval $(call fuzz,vhost_front,vmm-core/guest_mem.c $(FUZZ_FRONT)))
$(eval $(call fuzz,regchan,ipc/regchan.c ipc/fdmsg.c $(FUZZ_LOG)))
$(eval $(call fuzz,uart,devproc/uart.c))
$(eval $(call fuzz,pci,$(PCI) vmm-core/guest_mem.c $(FUZZ_LOG)))
$(eval $(call fuzz,virtio_pci,tests/unit/fake_kvm.c $(filter-out $(FRONT),$(VIRTIO)) $(FUZZ_FRONT)))
$(eval $(call fuzz,load,vmm-core/load.c vmm-core/load_bzimage.c vmm-core/load_elf.c vmm-core/boot.c vmm-core/guest_mem.c $(FUZZ_LOG)))
$(eval $(call fuzz,config,$(CLI_CONFIG) ipc/life.c ipc/fdmsg.c $(FUZZ_LOG),-linih))
$(eval $(call fuzz,fault_rule,cli/fault_parse.c ipc/fault.c ipc/life.c ipc/fdmsg.c))
$(eval $(call fuzz,control,$(sort $(CLI_SUPERVISOR) $(CLI_CONFIG) $(JAIL) $(IPC)),-linih -ljansson -lcap))
$(eval $(call fuzz,policy,$(POLICYC_PARTS),-lseccomp))
$(eval $(call fuzz,qcow2,tests/unit/qcow2_rig.c $(QCOW2) ipc/fdmsg.c $(FUZZ_LOG),$(QCOW2_LIBS)))

fuzzers: $(FUZZERS)
.PHONY: fuzzers
