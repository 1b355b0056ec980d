/* SPDX-License-Identifier: Apache-2.0 */
/* A list of what is refused, not of what is allowed: the libraries below (libc, GnuTLS, SQLite, whatever module resolves names) use what they like, by the
 * version; systemd's unit, which is of one system, has a list of what is allowed. */
#include "sandbox.h"
#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const deadly[] = {
	"execve", "execveat",
#ifndef __SANITIZE_ADDRESS__ /* which looks for leaks so */
	"ptrace", "process_vm_readv", "process_vm_writev",
#endif
};

static const char *const refused[] = {
	"acct", "add_key", "adjtimex", "bpf", "chroot", "clock_adjtime", "clock_settime", "delete_module", "fanotify_init", "finit_module", "fsconfig", "fsmount",
	"fsopen", "fspick", "init_module", "io_uring_enter", "io_uring_register", "io_uring_setup", "ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load",
	"keyctl", "lookup_dcookie", "migrate_pages", "mknod", "mknodat", "modify_ldt", "mount", "mount_setattr", "move_mount", "move_pages",
	"name_to_handle_at", "open_by_handle_at", "open_tree", "perf_event_open", "personality", "pidfd_getfd", "pivot_root", "process_madvise", "quotactl",
	"quotactl_fd", "reboot", "request_key", "setdomainname", "setfsgid", "setfsuid", "setgid", "setgroups", "sethostname", "setns", "setregid",
	"setresgid", "setresuid", "setreuid", "settimeofday", "setuid", "swapoff", "swapon", "syslog", "umount", "umount2", "unshare", "uselib",
	"userfaultfd", "vhangup",
};

static int
refuse_all (scmp_filter_ctx c, guint32 how, const char *const *names, gsize n)
{
	int r = 0;
	for (gsize i = 0; r == 0 && i < n; i++) {
		int number = seccomp_syscall_resolve_name (names[i]);
		if (number != __NR_SCMP_ERROR && number >= 0) /* of another architecture, or newer than the library */
			r = seccomp_rule_add (c, how, number, 0);
	}
	return r;
}

static int
refuse_sockets (scmp_filter_ctx c)
{
	const guint32 how = SCMP_ACT_ERRNO (EAFNOSUPPORT);
	int r = seccomp_rule_add (c, how, SCMP_SYS (socket), 1, SCMP_A0 (SCMP_CMP_GT, AF_NETLINK));
	for (guint family = AF_UNSPEC; r == 0 && family < AF_NETLINK; family++)
		if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
			r = seccomp_rule_add (c, how, SCMP_SYS (socket), 1, SCMP_A0 (SCMP_CMP_EQ, family));
	return r;
}

static int
refuse_code (scmp_filter_ctx c)
{
	const guint32 how = SCMP_ACT_ERRNO (EPERM);
	int r = seccomp_rule_add (c, how, SCMP_SYS (mprotect), 1, SCMP_A2 (SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
	r = r ? r : seccomp_rule_add (c, how, SCMP_SYS (pkey_mprotect), 1, SCMP_A2 (SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
	r = r ? r : seccomp_rule_add (c, how, SCMP_SYS (mmap), 1, SCMP_A2 (SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC, PROT_WRITE | PROT_EXEC));
	return r ? r : seccomp_rule_add (c, how, SCMP_SYS (ioctl), 1, SCMP_A1 (SCMP_CMP_MASKED_EQ, 0xffffffff, TIOCSTI));
}

static void
drop_capabilities (void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
	if (geteuid () == 0) /* whose files are opened by them */
		return;
	prctl (PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	syscall (SYS_capset, &header, none);
}

gboolean
sandbox_enter (GError **error)
{
	drop_capabilities ();
	scmp_filter_ctx c = seccomp_init (SCMP_ACT_ALLOW);
	int r = c ? seccomp_attr_set (c, SCMP_FLTATR_CTL_TSYNC, 1) : -ENOMEM;
	r = r ? r : refuse_all (c, SCMP_ACT_KILL_PROCESS, deadly, G_N_ELEMENTS (deadly));
	r = r ? r : refuse_all (c, SCMP_ACT_ERRNO (EPERM), refused, G_N_ELEMENTS (refused));
	r = r ? r : refuse_sockets (c);
	r = r ? r : refuse_code (c);
	r = r ? r : seccomp_load (c);
	seccomp_release (c);
	return r == 0 || error_fail (error, ERROR_UNAVAILABLE, "seccomp: %s", g_strerror (-r));
}
