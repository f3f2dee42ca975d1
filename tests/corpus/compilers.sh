# Compilers, linkers, generators of code.
needs gcc g++ ar ld objcopy bison flex make rustc unshare

plant c-date compiled-date primary prog <<'END'
echo '#include <stdio.h>
int main(void) { puts(__DATE__ " " __TIME__); }' > $tmp/p.c
gcc -Wl,--build-id=none -o prog $tmp/p.c
END
plant c-date-object compiled-date primary p.o <<'END'
echo 'const char *when(void) { return "built on " __DATE__; }' > $tmp/p.c
gcc -c -o p.o $tmp/p.c
END
plant cxx-date compiled-date primary prog <<'END'
echo '#include <string>
#include <iostream>
int main() { std::string when = __DATE__; std::cout << "at " << __TIME__ << when; }' > $tmp/p.cc
g++ -O2 -Wl,--build-id=none -o prog $tmp/p.cc
END
plant c-date-id linker-build-id+compiled-date derived prog <<'END'
echo '#include <stdio.h>
int main(void) { puts(__DATE__); }' > $tmp/p.c
gcc -o prog -Wl,--build-id $tmp/p.c
END
plant c-debug-path debug-path primary p.o <<'END'
mkdir $tmp/$other
cd $tmp/$other
echo 'int f(void) { return 1; }' > p.c
gcc -g -c -o $OLDPWD/p.o p.c
END
plant cxx-debug-path debug-path primary lib.a <<'END'
mkdir $tmp/$other-src
to=$PWD
cd $tmp/$other-src
printf '#include <vector>\nint f() { std::vector<int> v(3); return v.size(); }\n' > p.cc
g++ -g -c p.cc
ar qcD $to/lib.a p.o
END
plant c-library-path debug-path+linker-build-id primary lib.so <<'END'
mkdir $tmp/$other-dir
to=$PWD
cd $tmp/$other-dir
echo 'int f(void) { return 1; }' > p.c
gcc -g -shared -fPIC -Wl,--build-id -o $to/lib.so p.c
END
plant c-assert-path embedded-path primary p.o <<'END'
mkdir $tmp/$other
printf '#include <assert.h>\nvoid f(int x) { assert(x); }\n' > $tmp/$other/p.c
gcc -c -o p.o $tmp/$other/p.c
END
plant c-build-id linker-build-id primary prog <<'END'
echo 'int main(void) { return 0; }' > $tmp/p.c
gcc -Wl,--build-id=uuid -o prog $tmp/p.c
END
plant c-lto lto-symbol primary p.o <<'END'
echo 'static int g; int f(void) { return g++; }' > $tmp/p.c
gcc -flto -c -o p.o $tmp/p.c
END
plant link-order symbol-order primary lib.so <<'END'
cd $tmp
echo 'int first(int x) { return x + 1; }' > p.c
echo 'int second(int x) { return x + 2; }' > q.c
gcc -c -fPIC p.c q.c
gcc -shared -Wl,--build-id=none -o $OLDPWD/lib.so $(pick 'p.o q.o' 'q.o p.o')
END
plant ar-time archive-time primary lib.a <<'END'
cd $tmp
echo 'int f;' > p.c
gcc -c p.c
touch -d @$epoch p.o
ar qcU $OLDPWD/lib.a p.o
END
plant ar-order archive-order primary lib.a <<'END'
cd $tmp
echo 'int f;' > p.c
echo 'int g;' > q.c
gcc -c p.c q.c
ar qcD $OLDPWD/lib.a $(pick 'p.o q.o' 'q.o p.o')
END
plant ar-owner archive-owner+archive-time primary lib.a <<'END'
cd $tmp
echo 'int f;' > p.c
gcc -c p.c
touch -d @1 p.o
chmod $(pick 644 664) p.o
ar qcU $OLDPWD/lib.a p.o
END
plant ranlib-time archive-time primary lib.a <<'END'
cd $tmp
echo 'int f;' > p.c
gcc -c p.c
ar qcDS $OLDPWD/lib.a p.o
cd $OLDPWD
# Without -D it writes the time into the member that it adds.
ranlib -U lib.a
END
plant bison-path embedded-path primary p.c <<'END'
mkdir $tmp/$other
printf '%%%%\nstart: { };\n' > $tmp/$other/p.y
bison -o p.c $tmp/$other/p.y
END
plant flex-path embedded-path primary l.c <<'END'
mkdir $tmp/$other
printf '%%%%\nx return 1;\n' > $tmp/$other/l.l
flex -o l.c $tmp/$other/l.l
END
plant depend-path embedded-path primary p.d <<'END'
mkdir $tmp/$other
echo 'int f;' > $tmp/$other/p.c
gcc -M -MF p.d $tmp/$other/p.c
END
# Its threads end in a deadlock where the clock is preloaded.
plant rust-debug-path debug-path primary p.o <<'END'
unset LD_PRELOAD
mkdir $tmp/$other
cd $tmp/$other
echo 'pub fn f(x: u32) -> u32 { x + 1 }' > p.rs
rustc -g --crate-type=lib --emit=obj -C codegen-units=1 -o $OLDPWD/p.o p.rs
END
plant rust-panic-path embedded-path primary p.o <<'END'
unset LD_PRELOAD
mkdir $tmp/$other
echo '#[no_mangle] pub fn f(x: &[u32], at: usize) -> u32 { x[at] }' > $tmp/$other/p.rs
rustc -C debuginfo=0 --crate-type=lib --emit=obj -C codegen-units=1 -o p.o $tmp/$other/p.rs
END
plant make-race line-order primary list.txt <<'END'
printf 'all: x y z\nx y z:\n\tsleep $(T_$@); echo $@ >> list.txt\n' > $tmp/Makefile
make -s -j3 -f $tmp/Makefile T_x=$(pick 0 0.1) T_y=0.05 T_z=$(pick 0.1 0)
END
plant host-name embedded-hostname primary config.h <<'END'
host='hostname $(test $side = a && echo repro-a || echo repro-b-canary)'
unshare --map-root-user --uts sh -c "$host; "'echo "#define BUILT_ON \"$(uname -n)\"" > config.h'
END
plant address embedded-address primary where.txt <<'END'
printf '#include <stdio.h>\nint main(void) { int x; printf("at %%p\\n", (void *)&x); }\n' > $tmp/p.c
gcc -o $tmp/p $tmp/p.c
$tmp/p > where.txt
END
shape 'Go is a large package: its section, in a program of another compiler' \
    go-build-id go-build-id primary prog <<'END'
echo 'int main(void) { return 0; }' > $tmp/p.c
gcc -Wl,--build-id=none -o $tmp/p $tmp/p.c
printf '\4\0\0\0\124\0\0\0\4\0\0\0Go\0\0%s/%s' $(head -c 30 /dev/urandom | base64) $(head -c 30 /dev/urandom | base64) > $tmp/id
objcopy --add-section .note.go.buildid=$tmp/id $tmp/p prog
END
