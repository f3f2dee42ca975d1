//! Causes of language ecosystems: compilers, interpreters and their package managers.

use repro_core::build::Axis;

use super::{Cause, CauseInfo, links};

pub(super) const LANGUAGES: &[(Cause, CauseInfo)] = &[
    (
        Cause::PycSourceTime,
        CauseInfo {
            title: "compiled Python holds the source's time",
            meaning: "The header of a `.pyc` has the modification time of the source it was \
                      made from.",
            detection: "The magic and flags of a `.pyc`, and a difference in bytes 8 to 11.",
            remedy: "Compile with SOURCE_DATE_EPOCH in the environment, `python -m compileall \
                     --invalidation-mode unchecked-hash`, or set PYTHONDONTWRITEBYTECODE=1.",
            axis: Some(Axis::Clock),
            links: links::PYTHON,
        },
    ),
    (
        Cause::PycCode,
        CauseInfo {
            title: "compiled Python differs in its code",
            meaning: "Paths of the build, the order of sets, or reference flags got into the \
                      code.",
            detection: "A `.pyc` with equal header differs behind it.",
            remedy: "Compile at the place of use with the same paths; set PYTHONHASHSEED=0.",
            axis: None,
            links: links::PYTHON,
        },
    ),
    (
        Cause::WheelMetadata,
        CauseInfo {
            title: "pip or uv recorded the installation",
            meaning: "Files such as `direct_url.json` and `uv_cache.json` say when and from \
                      where.",
            detection: "The path, below a `.dist-info` directory.",
            remedy: "Remove them, or install from an index instead of a path.",
            axis: None,
            links: links::PYTHON,
        },
    ),
    (
        Cause::PipCache,
        CauseInfo {
            title: "a cache of pip or uv is kept",
            meaning: "Downloads and built wheels are kept with times.",
            detection: "The path.",
            remedy: "`pip install --no-cache-dir`, or a cache mount.",
            axis: Some(Axis::Clock),
            links: links::PYTHON,
        },
    ),
    (
        Cause::VenvPath,
        CauseInfo {
            title: "a virtual environment holds its own path",
            meaning: "Scripts and `pyvenv.cfg` name the directory it was made in.",
            detection: "The path, or the text differs in a directory.",
            remedy: "Make it at a fixed path.",
            axis: None,
            links: links::PATHS,
        },
    ),
    (
        Cause::NpmCache,
        CauseInfo {
            title: "a cache or log of npm is kept",
            meaning: "Entries of its cache have the time of the download; logs are named after \
                      it.",
            detection: "The path.",
            remedy: "`npm cache clean --force && rm -rf ~/.npm` in the same RUN, or a cache \
                     mount.",
            axis: Some(Axis::Clock),
            links: links::GENERAL,
        },
    ),
    (
        Cause::NodeCompileCache,
        CauseInfo {
            title: "Node's compile cache is kept",
            meaning: "It depends on the program's memory.",
            detection: "The path.",
            remedy: "NODE_DISABLE_COMPILE_CACHE=1, or remove it.",
            axis: None,
            links: links::GENERAL,
        },
    ),
    (
        Cause::NodeModulesState,
        CauseInfo {
            title: "a package manager's state in node_modules",
            meaning: "npm, pnpm and yarn keep when they last pruned or installed.",
            detection: "The path.",
            remedy: "Remove `.modules.yaml`, `.yarn-state.yml` or `.package-lock.json` behind \
                     the installation.",
            axis: Some(Axis::Clock),
            links: links::GENERAL,
        },
    ),
    (
        Cause::BundlerId,
        CauseInfo {
            title: "a bundler made a random build id",
            meaning: "Next.js and others name a build by a random id and repeat it in many files.",
            detection: "The path of a `BUILD_ID`.",
            remedy: "Set `generateBuildId`, or deterministic ids.",
            axis: None,
            links: links::GENERAL,
        },
    ),
    (
        Cause::GemLog,
        CauseInfo {
            title: "a log of a Ruby extension's build",
            meaning: "`mkmf.log` and `gem_make.out` hold paths, times and process ids.",
            detection: "The path.",
            remedy: "Remove them in the same RUN.",
            axis: Some(Axis::Clock),
            links: links::GENERAL,
        },
    ),
    (
        Cause::GemDate,
        CauseInfo {
            title: "a gem specification holds a date",
            meaning: "RubyGems writes the day of the build.",
            detection: "A `date` line of a `.gemspec`.",
            remedy: "Build with SOURCE_DATE_EPOCH, which RubyGems reads.",
            axis: Some(Axis::Clock),
            links: links::GENERAL,
        },
    ),
    (
        Cause::MavenState,
        CauseInfo {
            title: "Maven's local repository keeps state",
            meaning: "Marker files name when and from where something came.",
            detection: "The path, below `.m2`.",
            remedy: "Remove `_remote.repositories` and `*.lastUpdated`, or use a cache mount.",
            axis: Some(Axis::Clock),
            links: links::JVM,
        },
    ),
    (
        Cause::JavaPropertiesDate,
        CauseInfo {
            title: "a properties file begins with its date",
            meaning: "Java writes the current time as a comment when it stores properties.",
            detection: "A comment line with a date in a `.properties` file.",
            remedy: "Remove the comment; set `java.properties.date` (Java 18) or \
                     `project.build.outputTimestamp`.",
            axis: Some(Axis::Clock),
            links: links::JVM,
        },
    ),
    (
        Cause::ManifestDate,
        CauseInfo {
            title: "a jar's manifest holds a date or builder",
            meaning: "Tools write `Build-Time`, `Bnd-LastModified`, `Built-By` and the like.",
            detection: "The key of the line that differs in `META-INF/MANIFEST.MF`.",
            remedy: "Set `project.build.outputTimestamp`, or drop the attribute.",
            axis: Some(Axis::Clock),
            links: links::JVM,
        },
    ),
    (
        Cause::GradleState,
        CauseInfo {
            title: "Gradle keeps caches and locks",
            meaning: "They hold times and the state of its daemon.",
            detection: "The path, below `.gradle`.",
            remedy: "Remove it, or use a cache mount.",
            axis: Some(Axis::Clock),
            links: links::JVM,
        },
    ),
    (
        Cause::ArchiveTime,
        CauseInfo {
            title: "an archive holds the times of its members",
            meaning: "zip, tar, cpio and ar keep a modification time for each member.",
            detection: "The times of members differ in the archive's headers.",
            remedy: "Set them before packing (`find . -exec touch -hcd @$SOURCE_DATE_EPOCH {} \
                     +`), or let the tool do it: `tar --mtime`, `zip -X` with TZ=UTC, `ar D`.",
            axis: Some(Axis::Clock),
            links: links::ARCHIVES,
        },
    ),
    (
        Cause::ArchiveOrder,
        CauseInfo {
            title: "the members of an archive stand in another order",
            meaning: "They were taken in the order of the directory.",
            detection: "The same names in another order.",
            remedy: "Sort what is packed: `tar --sort=name`, `find | sort | zip -X@`.",
            axis: Some(Axis::DirectoryOrder),
            links: links::ARCHIVES,
        },
    ),
    (
        Cause::ArchiveOwner,
        CauseInfo {
            title: "an archive holds owner or permissions of the builder",
            meaning: "Members carry owner, group and mode of the files that were packed.",
            detection: "Owner or mode of a member differs.",
            remedy: "`tar --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw`, `zip -X`, `ar \
                     D`.",
            axis: None,
            links: links::ARCHIVES,
        },
    ),
    (
        Cause::ArchiveExtra,
        CauseInfo {
            title: "an archive holds extra fields of the file system",
            meaning: "Access times, inodes, owner and the like in zip's extra fields or cpio's \
                      headers.",
            detection: "Extra fields or inode numbers of members differ.",
            remedy: "`zip -X`; `cpio --reproducible`.",
            axis: Some(Axis::InodeNumbers),
            links: links::ARCHIVES,
        },
    ),
    (
        Cause::GzipHeader,
        CauseInfo {
            title: "a gzip header holds time or name",
            meaning: "gzip keeps the modification time and name of its input.",
            detection: "The header of RFC 1952 differs; the data may be equal.",
            remedy: "`gzip -n`.",
            axis: Some(Axis::Clock),
            links: links::ARCHIVES,
        },
    ),
    (
        Cause::CompressionForm,
        CauseInfo {
            title: "the same data is compressed to other bytes",
            meaning: "Another level, version or implementation of the compressor, or another \
                      number of threads.",
            detection: "The data is equal once it is unpacked.",
            remedy: "Fix program, version, level and number of threads.",
            axis: Some(Axis::Cpus),
            links: links::ARCHIVES,
        },
    ),
    (
        Cause::ComposerSuffix,
        CauseInfo {
            title: "Composer names its loader by a random suffix",
            meaning: "The class of the autoloader has a random or content-derived suffix.",
            detection: "A class `ComposerAutoloaderInit` with 32 digits.",
            remedy: "Set `config.autoloader-suffix` in composer.json.",
            axis: None,
            links: links::GENERAL,
        },
    ),
    (
        Cause::GoBuildId,
        CauseInfo {
            title: "a Go program's build id differs",
            meaning: "The id follows the content and the paths of the build.",
            detection: "The note section `.note.go.buildid`.",
            remedy: "`go build -trimpath -buildvcs=false -ldflags=-buildid=`.",
            axis: None,
            links: links::PATHS,
        },
    ),
    (
        Cause::CompiledDate,
        CauseInfo {
            title: "a compiled program holds its date",
            meaning: "`__DATE__` or `__TIME__` were expanded, or a date of the shell was passed to \
                      the compiler.",
            detection: "A date of the form `Mmm dd yyyy` or a time of day in a program's \
                        read-only data.",
            remedy: "For `$(date)` in a call of the compiler, `$(date -u -d @$SOURCE_DATE_EPOCH)`. \
                     gcc 7 and clang 16 expand the macros from SOURCE_DATE_EPOCH; `-Wdate-time` \
                     finds them.",
            axis: Some(Axis::Clock),
            links: links::GENERAL,
        },
    ),
    (
        Cause::DebugPath,
        CauseInfo {
            title: "debug data holds the path of the build",
            meaning: "The compiler records the directory it ran in and the names of sources.",
            detection: "Sections of debug data differ in a path.",
            remedy: "`-ffile-prefix-map=$PWD=.`, or build at a fixed path; strip what need not \
                     be debugged. pip compiles in a directory of a random name: `export \
                     CFLAGS=-g0` leaves debug data out.",
            axis: None,
            links: links::PATHS,
        },
    ),
    (
        Cause::EmbeddedPath,
        CauseInfo {
            title: "a path of the build is in the file",
            meaning: "A program was told or found out the directory it was built in.",
            detection: "The differing text is a path on both sides.",
            remedy: "`-ffile-prefix-map`, relative paths, or a fixed directory.",
            axis: None,
            links: links::PATHS,
        },
    ),
    (
        Cause::LinkerBuildId,
        CauseInfo {
            title: "the build id of a program differs",
            meaning: "The linker's hash over the program differs because something else does, or \
                      did: debug data that was stripped counts. Where nothing else of the file \
                      differs, the id may also be drawn at random (`--build-id=uuid`).",
            detection: "The note section `.note.gnu.build-id` or `.gnu_debuglink` of an ELF file.",
            remedy: "Remove the cause of the other differences. Where the file has none: \
                     `-Wl,--build-id=sha1` in place of `uuid`, and `-ffile-prefix-map` for \
                     programs that are stripped.",
            axis: None,
            links: links::GENERAL,
        },
    ),
    (
        Cause::LtoSymbol,
        CauseInfo {
            title: "link-time optimisation makes random names",
            meaning: "gcc names sections of `-flto` objects by a random number.",
            detection: "Names of sections or symbols such as `.gnu.lto_` with a number.",
            remedy: "`-frandom-seed=FILE`, a fixed text for each object.",
            axis: None,
            links: links::GENERAL,
        },
    ),
    (
        Cause::SymbolOrder,
        CauseInfo {
            title: "the same symbols stand in another order",
            meaning: "Objects were linked in the order of a directory or of a parallel build.",
            detection: "The same names of symbols or sections in another order.",
            remedy: "Sort the inputs: `$(sort $(wildcard *.o))`.",
            axis: Some(Axis::DirectoryOrder),
            links: links::ORDER,
        },
    ),
    (
        Cause::JavadocDate,
        CauseInfo {
            title: "generated documentation holds its date",
            meaning: "javadoc and others write when they ran into each page.",
            detection: "A line `Generated by ... on DATE`, or a META element with a date.",
            remedy: "`javadoc -notimestamp`, or the generator's option for it.",
            axis: Some(Axis::Clock),
            links: links::JVM,
        },
    ),
    (
        Cause::GettextDate,
        CauseInfo {
            title: "a message catalogue holds its date",
            meaning: "`POT-Creation-Date` is the time at which messages were extracted.",
            detection: "The header of a `.mo` or `.po` file.",
            remedy: "`xgettext` with SOURCE_DATE_EPOCH where it reads it, or keep the `.pot` in \
                     the source.",
            axis: Some(Axis::Clock),
            links: links::GENERAL,
        },
    ),
    (
        Cause::PngTime,
        CauseInfo {
            title: "a PNG image holds its date",
            meaning: "The chunk tIME, or a text chunk such as `date:create`, has the time.",
            detection: "Chunks of the PNG.",
            remedy: "`convert -define png:exclude-chunk=date,time`, or `optipng -strip all`.",
            axis: Some(Axis::Clock),
            links: links::GENERAL,
        },
    ),
    (
        Cause::PdfDate,
        CauseInfo {
            title: "a PDF holds its date or a random id",
            meaning: "`/CreationDate`, `/ModDate` and `/ID` are written for each file.",
            detection: "These keys, in a PDF.",
            remedy: "Most writers read SOURCE_DATE_EPOCH; for TeX set FORCE_SOURCE_DATE=1 too.",
            axis: Some(Axis::Clock),
            links: links::GENERAL,
        },
    ),
    (
        Cause::SqliteLayout,
        CauseInfo {
            title: "a database differs in its layout",
            meaning: "Pages, counters or free space differ.",
            detection: "The magic of SQLite, and its pages.",
            remedy: "Write rows in a fixed order and `VACUUM INTO` a new file; store no times.",
            axis: None,
            links: links::GENERAL,
        },
    ),
    (
        Cause::GitState,
        CauseInfo {
            title: "git's own files are in the image",
            meaning: "Index, logs and packs hold times, inodes and the order of work.",
            detection: "The path, below `.git`.",
            remedy: "Remove `.git`, or `git archive` what is needed.",
            axis: Some(Axis::Clock),
            links: links::GENERAL,
        },
    ),
    (
        Cause::SbomId,
        CauseInfo {
            title: "a bill of materials has an id and a date",
            meaning: "SPDX and CycloneDX documents are given a random id and the time.",
            detection: "Keys such as `serialNumber`, `documentNamespace` or `created` of a JSON \
                        document.",
            remedy: "Generators that read SOURCE_DATE_EPOCH, or an id derived from the content.",
            axis: Some(Axis::Clock),
            links: links::GENERAL,
        },
    ),
    (
        Cause::XmlForm,
        CauseInfo {
            title: "an XML document says the same in another form",
            meaning: "Elements or attributes stand in another order, or white space differs; all \
                      values are equal.",
            detection: "Both parse to the same values, and their bytes differ.",
            remedy: "Sort what is written, and write it with one serialiser.",
            axis: None,
            links: links::ORDER,
        },
    ),
    (
        Cause::JsonOrder,
        CauseInfo {
            title: "a JSON document has its keys in another order",
            meaning: "It was written from a map without order.",
            detection: "Equal once parsed.",
            remedy: "Sort the keys when writing (`sort_keys=True`, `jq -S`).",
            axis: None,
            links: links::ORDER,
        },
    ),
    (
        Cause::TemporaryFile,
        CauseInfo {
            title: "something temporary was left",
            meaning: "Files below `tmp`, and what shells and tools remember in a home directory.",
            detection: "The path.",
            remedy: "Remove it in the same RUN; `wget --no-hsts`, HISTFILE unset.",
            axis: None,
            links: links::GENERAL,
        },
    ),
    (
        Cause::HaskellInterface,
        CauseInfo {
            title: "an interface of a Haskell module differs",
            meaning: "What GHC writes to `.hi` files follows the order in which it compiled.",
            detection: "The name and the magic.",
            remedy: "Compile with one job (`ghc -j1`, `cabal build -j1`).",
            axis: Some(Axis::Cpus),
            links: links::GENERAL,
        },
    ),
    (
        Cause::EmbeddedSignature,
        CauseInfo {
            title: "a signature was made during the build",
            meaning: "A jar or a module of the kernel was signed: with a new key, or by an \
                      algorithm that draws a number for each signature.",
            detection: "Files of signatures below `META-INF`, or the marker behind a module with \
                        equal code.",
            remedy: "Sign outside the image's build and attach the signature, or copy it in as an \
                     input.",
            axis: None,
            links: links::GENERAL,
        },
    ),
    (
        Cause::CondaHistory,
        CauseInfo {
            title: "conda keeps its history",
            meaning: "Each command is kept with its time, and metadata with paths of the cache.",
            detection: "The path, below `conda-meta`.",
            remedy: "`conda clean -afy`, and remove `conda-meta/history`.",
            axis: Some(Axis::Clock),
            links: links::GENERAL,
        },
    ),
    (
        Cause::RPackageDate,
        CauseInfo {
            title: "an R package says when it was built",
            meaning: "`Built:` and `Packaged:` in DESCRIPTION hold time and user.",
            detection: "These keys.",
            remedy: "Build with SOURCE_DATE_EPOCH, or replace the line.",
            axis: Some(Axis::Clock),
            links: links::GENERAL,
        },
    ),
    (
        Cause::CompiledForms,
        CauseInfo {
            title: "caches of TeX, Emacs or Info differ",
            meaning: "Formats, `ls-R`, `.elc` and `dir` files hold times or follow the order of \
                      directories.",
            detection: "The path.",
            remedy: "SOURCE_DATE_EPOCH and FORCE_SOURCE_DATE=1; remove `ls-R` if it is made on \
                     use.",
            axis: Some(Axis::Clock),
            links: links::GENERAL,
        },
    ),
    (
        Cause::DerivedChecksum,
        CauseInfo {
            title: "a list of checksums follows other files",
            meaning: "RECORD, md5sums, SHA256SUMS and the like name files that differ.",
            detection: "Lines that differ are a digest and a name, in a file that is called like \
                        such a list, or of which every line is one.",
            remedy: "Nothing: remove the cause in the files it names.",
            axis: None,
            links: links::GENERAL,
        },
    ),
];
