/* QEMU plugin: counts the guest instructions of each thread and, each time one asks for the process
 * group of MARK_PID, writes what that thread has executed to a file. Threads of libraries, which
 * wake when the host lets them, are not in it. It is compiled when the sysroot is installed.
 * The declarations below are those of QEMU's public plugin API that it needs; no distribution
 * package ships the header. API_VERSION comes from the command line: QEMU refuses others. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default")))
#define GETPGID 155 /* arm64 Linux */
#define MARK_PID 0x5eed5eed
#define THREADS 4096 /* a thread keeps its number; those beyond are not counted */

struct block;
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t, void (*)(uint64_t, struct block *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct block *, void (*)(unsigned, void *), int, void *);
size_t qemu_plugin_tb_n_insns(const struct block *);
void qemu_plugin_register_vcpu_syscall_cb(
    uint64_t, void (*)(uint64_t, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                       uint64_t, uint64_t, uint64_t, uint64_t));

PUBLIC int qemu_plugin_version = API_VERSION;
static uint64_t executed[THREADS]; /* each written by its own thread only */
static FILE *report;

static void run_block(unsigned cpu, void *instructions)
{
    if (cpu < THREADS)
        executed[cpu] += (uint64_t)(uintptr_t)instructions;
}

static void translate_block(uint64_t id, struct block *block)
{
    uintptr_t instructions = qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_cb(block, run_block, 0, (void *)instructions);
}

static void call_system(uint64_t id, unsigned cpu, int64_t number, uint64_t first, uint64_t b,
                        uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h)
{
    if (number == GETPGID && first == MARK_PID && cpu < THREADS) {
        fprintf(report, "%llu\n", (unsigned long long)executed[cpu]);
        fflush(report);
    }
}

PUBLIC int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
    if (argc != 1 || strncmp(argv[0], "report=", 7) != 0)
        return 1;
    report = fopen(argv[0] + 7, "w");
    if (report == NULL)
        return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate_block);
    qemu_plugin_register_vcpu_syscall_cb(id, call_system);
    return 0;
}
