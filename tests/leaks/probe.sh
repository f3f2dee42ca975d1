# Writes what it learns to /leaks. A thing that cannot be learnt is a file that says so.
mkdir /leaks
cd /leaks || exit 1

# Writes the output of a command, errors included, to the file of this name.
learn() {
    file=$1
    shift
    sh -c "$*" > "$file" 2>&1
    true
}

learn hostname 'hostname; uname -n; cat /proc/sys/kernel/hostname /etc/hostname /etc/hosts'
learn domain 'cat /proc/sys/kernel/domainname'
learn resolver 'cat /etc/resolv.conf'

learn kernel-release 'uname -r'
learn kernel-version 'uname -v'
learn kernel-files 'cat /proc/version /proc/sys/kernel/osrelease /proc/sys/kernel/version'
learn kernel-rest 'uname -s; uname -m; uname -o'

learn cpus-count 'nproc; nproc --all; getconf _NPROCESSORS_ONLN; getconf _NPROCESSORS_CONF'
learn cpus-cpuinfo 'cat /proc/cpuinfo'
learn cpus-stat 'grep ^cpu /proc/stat'
learn cpus-sys 'cd /sys/devices/system/cpu; ls; cat online possible present offline'
learn cpus-allowed 'grep Cpus_allowed: /proc/self/status'

learn boot-uptime 'cut -d. -f1 /proc/uptime'
learn boot-days 'echo $(($(cut -d. -f1 /proc/uptime) / 86400 / 20))'
learn boot-time 'grep ^btime /proc/stat'
learn boot-id 'cat /proc/sys/kernel/random/boot_id'

learn machine-id 'cat /etc/machine-id /var/lib/dbus/machine-id'
learn dmi 'cat /sys/class/dmi/id/product_uuid /sys/firmware/dmi/tables/DMI'
learn addresses-of-hardware 'cat /sys/class/net/*/address'

learn inode-of-new-file 'touch /tmp/new; stat -c %i /tmp/new; rm /tmp/new'
learn inode-of-base-file 'stat -c %i /etc/passwd /usr/bin/env'
learn device-parity 'echo $(($(stat -c %d /) % 2))'
learn device-same 'test $(stat -c %d /) = $(stat -c %d /etc/passwd) && echo same'
learn devices 'stat -c %d / /proc /sys /dev /dev/shm'
learn disk 'df -P /'
learn disk-kind 'stat -f -c "%T %s %l" /'

learn pid 'echo $$'
learn pids 'set -- /proc/[0-9]*; echo $#'
learn last-pid 'cat /proc/sys/kernel/ns_last_pid'
learn addresses 'cut -d" " -f1 /proc/self/maps'
learn personality 'cat /proc/self/personality'
learn random 'cat /proc/sys/kernel/random/uuid'

learn clock 'date'
learn zone 'date +%Z%z; cat /etc/timezone; readlink /etc/localtime'
learn locale 'locale'
learn environment 'env | grep -v "^_=" | sort; tr "\\0" "\\n" < /proc/1/environ'
learn umask 'umask; touch /tmp/mode; stat -c %a /tmp/mode; rm /tmp/mode'
learn user 'id; echo ~; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups'
learn limits 'cat /proc/self/limits; ulimit -a; nice'
learn rights 'grep -E "^(Cap|NoNew|Seccomp|Sig|Shd)" /proc/self/status; cat /proc/self/oom_score_adj'
learn streams 'ls /proc/self/fd; tty; readlink /proc/self/fd/0'
learn directory 'pwd; stat -c "%a %u %g" . /tmp /etc/hosts /dev /dev/shm /proc/cpuinfo; stat -c %Y /etc/hosts /etc /usr'
learn times-of-mounts 'stat -c %Y /dev /dev/shm /proc/cpuinfo'
learn directory-order 'ls -U /usr/bin'

learn memory 'cat /proc/meminfo; free -k | head -1'
learn load 'cat /proc/loadavg'
learn interrupts 'cat /proc/interrupts /proc/softirqs'
learn activity 'cat /proc/vmstat /proc/diskstats /proc/schedstat /proc/zoneinfo /proc/buddyinfo'
learn hardware 'cat /proc/iomem /proc/ioports /proc/partitions /proc/swaps /proc/modules'
learn boot-line 'cat /proc/cmdline /proc/kallsyms'
learn lists 'cat /proc/filesystems /proc/devices /proc/misc /proc/crypto /proc/consoles'
learn control-groups 'cat /proc/cgroups'
learn cgroup 'cat /proc/self/cgroup'
learn mounts 'cat /proc/self/mounts'
learn mount-numbers 'cat /proc/self/mountinfo'
learn namespaces 'readlink /proc/self/ns/*'
learn network 'cat /proc/net/dev /proc/net/route /proc/net/if_inet6; ls /sys/class/net'
learn sockets 'cat /proc/net/tcp /proc/net/udp'
learn settings-kernel 'cd /proc/sys/kernel; grep -rs . . | grep -vE "^./(random|hostname|domainname|osrelease|version|ns_last_pid|pty/nr)" | sort'
learn settings-entropy 'cat /proc/sys/kernel/random/entropy_avail /proc/sys/kernel/random/poolsize'
learn settings-fs 'cd /proc/sys/fs; grep -rs . . | grep -vE "^./(dentry-state|file-nr|inode-nr|inode-state|quota|aio-nr)" | sort'
learn settings-vm 'cd /proc/sys/vm; grep -rs . . | sort'
learn settings-net 'cd /proc/sys/net; grep -rs . . | sort'
learn counters-fs 'cd /proc/sys/fs; cat dentry-state file-nr inode-nr inode-state aio-nr'
learn terminals 'cat /proc/sys/kernel/pty/nr'
learn devices-of-sys 'ls /sys /sys/class /sys/block /sys/bus /sys/devices /sys/devices/system'
