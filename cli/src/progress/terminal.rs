//! The live view: one block of lines for each run, one bar for each task, and below what stays
//! on the screen a row of marks for the comparison.
//!
//! ```text
//! = [1/7] COPY . /src  0.1 s, 0.1 s, equal, sha256:4bf2...      stays
//! a [3/7] RUN make                                        12s
//!   | cc -c inflate.c
//! b [2/7] RUN ./configure                                  2s
//!   | checking for gcc... gcc
//! compared ==.....
//! ```

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use repro_core::{
    build::RunId,
    event::{Comparison, Event, EventSink, Unit},
};

use super::{
    board::{Board, short},
    plain::{finding_line, tail},
};
use crate::{output::Meaning, text};

/// Lines of output shown of each running step.
const OUTPUT_LINES: usize = 2;
/// Running steps shown of each run.
const SLOTS: usize = 4;
/// Columns of an instruction in a line that stays.
const INSTRUCTION: usize = 60;
/// First line of a running step.
const HEAD: &str = "{wide_msg} {elapsed}";
/// Its other lines.
const OUTPUT: &str = "{wide_msg}";
/// How often the seconds of a running step are drawn again.
const TICK: Duration = Duration::from_millis(250);

/// Draws on a terminal until dropped.
pub(super) struct Terminal {
    state: Mutex<State>,
}

struct State {
    board: Board,
    multi: MultiProgress,
    /// Of each run, the lines of what it works on: the view has room for some of it.
    runs: BTreeMap<RunId, Vec<StepLines>>,
    tasks: BTreeMap<String, ProgressBar>,
    marks: Option<ProgressBar>,
    compared: BTreeMap<u32, Comparison>,
    colors: bool,
    /// Whether a thread draws the passing seconds.
    ticks: bool,
}

/// The lines of one step of a run.
struct StepLines {
    /// `None` while the run waits.
    step: Option<u32>,
    head: ProgressBar,
    output: Vec<ProgressBar>,
}

impl StepLines {
    /// From top to bottom.
    fn bars(&self) -> impl Iterator<Item = &ProgressBar> {
        std::iter::once(&self.head).chain(&self.output)
    }
}

impl Terminal {
    /// A view on standard error, which must be a terminal.
    pub(super) fn on_stderr(colors: bool) -> Self {
        Self::new(ProgressDrawTarget::stderr_with_hz(10), colors, true)
    }

    fn new(target: ProgressDrawTarget, colors: bool, ticks: bool) -> Self {
        let state = State {
            board: Board::default(),
            multi: MultiProgress::with_draw_target(target),
            runs: BTreeMap::new(),
            tasks: BTreeMap::new(),
            marks: None,
            compared: BTreeMap::new(),
            colors,
            ticks,
        };
        Self {
            state: Mutex::new(state),
        }
    }
}

impl EventSink for Terminal {
    fn event(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.board.take(&event);
        state.draw(&event);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        // The live lines go, what stays stays. A terminal that went away cannot be cleared.
        drop(state.multi.clear());
    }
}

impl State {
    fn draw(&mut self, event: &Event) {
        match event {
            Event::TaskStarted {
                id,
                title,
                total,
                unit,
            } => {
                self.start_task(id, title, *total, *unit);
            }
            Event::TaskAdvanced { id, done } => {
                if let Some(bar) = self.tasks.get(id) {
                    bar.set_position(*done);
                }
            }
            Event::TaskFinished { id, summary } => {
                if let Some(bar) = self.tasks.remove(id) {
                    bar.finish_and_clear();
                    self.multi.remove(&bar);
                }
                self.stays(&text::one_line(summary));
            }
            Event::Planned { .. } => self.show_marks(),
            Event::StepStarted { run, index, .. } => self.start_step(*run, *index),
            Event::StepOutput { run, index, .. } => self.show_output(*run, *index),
            Event::StepFinished { run, index, .. } => self.finish_step(*run, *index),
            Event::StepFailed {
                run,
                index,
                message,
            } => {
                let head = format!("{}: {}", self.title(*run, *index), text::one_line(message));
                self.stays(&self.paint(Meaning::Error, &head));
                for line in tail(&self.board, *run, *index) {
                    self.stays(&line);
                }
            }
            Event::StepStopped { run, index } => {
                let head = format!("{}: stopped, another step failed", self.title(*run, *index));
                self.stays(&head);
            }
            Event::StepCompared { index, comparison } => {
                self.compared.insert(*index, *comparison);
                self.show_marks();
                let (mark, meaning) = match comparison {
                    Comparison::Equal => ("=", Meaning::Good),
                    Comparison::Differs => ("≠", Meaning::Bad),
                };
                let verdict = self.board.verdict(*index, *comparison);
                let line = self.step_line(mark, *index, &[RunId::A, RunId::B], &verdict);
                self.stays(&self.paint(meaning, &line));
            }
            Event::Finding { finding } => {
                let line = finding_line(finding);
                let plain = anstream::adapter::strip_str(&line).to_string();
                self.stays(if self.colors { &line } else { &plain });
            }
            Event::Finished { .. } => {
                for lines in self.runs.values().flatten() {
                    lines.bars().for_each(ProgressBar::finish_and_clear);
                }
            }
        }
    }

    fn start_task(&mut self, id: &str, title: &str, total: Option<u64>, unit: Unit) {
        let template = match (total, unit) {
            (Some(_), Unit::Bytes) => "{wide_msg} [{bar:24}] {bytes} of {total_bytes}",
            (Some(_), Unit::Items) => "{wide_msg} [{bar:24}] {pos} of {len}",
            (None, Unit::Bytes) => "{wide_msg} {bytes}",
            (None, Unit::Items) => "{wide_msg} {pos}",
        };
        let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let bar = self
            .multi
            .insert(0, bar.with_style(style(template).progress_chars("=> ")));
        bar.set_message(text::one_line(title).into_owned());
        self.tasks.insert(id.to_owned(), bar);
    }

    fn title(&self, run: RunId, index: u32) -> String {
        let instruction = self.board.instruction(index);
        format!("{run} [{}] {instruction}", self.board.position(index))
    }

    fn start_step(&mut self, run: RunId, index: u32) {
        let title = self.title(run, index);
        let slots = self.runs.get(&run).map_or(0, Vec::len);
        let free = self.slot(run, None);
        if free.is_none() && slots < SLOTS {
            let lines = self.lines_after(run);
            self.runs.entry(run).or_default().push(lines);
        }
        if let Some(lines) = self.slot(run, None) {
            lines.step = Some(index);
            lines.head.reset_elapsed();
            lines.head.set_message(title);
        }
    }

    /// The lines of a run that show this step, or none.
    fn slot(&mut self, run: RunId, step: Option<u32>) -> Option<&mut StepLines> {
        let mut lines = self.runs.get_mut(&run)?.iter_mut();
        lines.find(|lines| lines.step == step)
    }

    /// New lines, below those that the run has.
    fn lines_after(&self, run: RunId) -> StepLines {
        let last = self
            .runs
            .get(&run)
            .and_then(|all| all.last()?.bars().last());
        let mut bars: Vec<ProgressBar> = Vec::new();
        for template in std::iter::once(HEAD).chain([OUTPUT; OUTPUT_LINES]) {
            let bar = ProgressBar::no_length().with_style(style(template));
            bars.push(match (bars.last().or(last), &self.marks) {
                (Some(above), _) => self.multi.insert_after(above, bar),
                (None, Some(marks)) => self.multi.insert_before(marks, bar),
                (None, None) => self.multi.add(bar),
            });
        }
        let head = bars.remove(0);
        if self.ticks {
            head.enable_steady_tick(TICK);
        }
        StepLines {
            step: None,
            head,
            output: bars,
        }
    }

    fn show_output(&mut self, run: RunId, index: u32) {
        let tail = tail(&self.board, run, index);
        let last = &tail[tail.len().saturating_sub(OUTPUT_LINES)..];
        let last: Vec<_> = last
            .iter()
            .map(|line| self.paint(Meaning::Faint, line))
            .collect();
        if let Some(lines) = self.slot(run, Some(index)) {
            for (bar, line) in lines.output.iter().zip(last) {
                bar.set_message(line);
            }
        }
    }

    /// Frees the lines of a step. The last ones of a run stay and say what it does.
    fn free_slot(&mut self, run: RunId, index: u32) {
        let now = if self.board.is_over(run) {
            "finished"
        } else {
            "waiting"
        };
        let Some(all) = self.runs.get_mut(&run) else {
            return;
        };
        let Some(position) = all.iter().position(|lines| lines.step == Some(index)) else {
            return;
        };
        if all.len() > 1 {
            for bar in all.remove(position).bars() {
                bar.finish_and_clear();
                self.multi.remove(bar);
            }
            return;
        }
        let lines = &mut all[position];
        lines.step = None;
        lines.head.reset_elapsed();
        lines.head.set_message(format!("{run} {now}"));
        lines.output.iter().for_each(|bar| bar.set_message(""));
    }

    fn finish_step(&mut self, run: RunId, index: u32) {
        self.free_slot(run, index);
        if !self.board.compares() || run == RunId::Setup {
            let diff_id = self.board.done(run, index).and_then(|done| done.diff_id);
            let layer = diff_id.map_or_else(|| "no layer".to_owned(), short);
            self.stays(&self.step_line(run.name(), index, &[run], &layer));
        }
    }

    /// `= [2/7] RUN make  3.4 s, 3.5 s, equal, sha256:...`
    fn step_line(&self, mark: &str, index: u32, runs: &[RunId], verdict: &str) -> String {
        let instruction = self.board.instruction(index);
        let instruction = console::truncate_str(instruction, INSTRUCTION, "…");
        let done = runs.iter().filter_map(|run| self.board.done(*run, index));
        let mut facts: Vec<String> = done.map(|done| text::seconds(done.wall_ms)).collect();
        facts.push(verdict.to_owned());
        format!(
            "{mark} [{}] {instruction}  {}",
            self.board.position(index),
            facts.join(", ")
        )
    }

    /// A mark for each step: `=` equal, `≠` different, `.` not compared yet.
    fn show_marks(&mut self) {
        if !self.board.compares() {
            return;
        }
        let mark = |comparison: &Comparison| match comparison {
            Comparison::Equal => '=',
            Comparison::Differs => '≠',
        };
        let steps = self.board.steps().iter();
        let marks: String = steps
            .map(|step| self.compared.get(step).map_or('.', mark))
            .collect();
        let bar = self.marks.get_or_insert_with(|| {
            self.multi
                .add(ProgressBar::no_length().with_style(style("compared {wide_msg}")))
        });
        bar.set_message(marks);
    }

    /// Prints a line above the live ones.
    fn stays(&self, line: &str) {
        // A terminal that went away takes no more lines; the build goes on.
        drop(self.multi.println(line));
    }

    fn paint(&self, meaning: Meaning, text: &str) -> String {
        if self.colors {
            meaning.paint(text).to_string()
        } else {
            text.to_owned()
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file; the test draws each of them.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;

    use super::*;
    use crate::progress::board::tests::{failing, parallel, recorded};

    const WIDTH: u16 = 100;

    /// What the screen shows after each event.
    fn screens(events: Vec<Event>) -> Vec<String> {
        let term = InMemoryTerm::new(60, WIDTH);
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), 255);
        let terminal = Terminal::new(target, false, false);
        let mut screens = Vec::new();
        for event in events {
            terminal.event(event);
            // The drawing is limited in its rate; what is tested here is what is drawn.
            std::thread::sleep(Duration::from_millis(8));
            terminal
                .state
                .lock()
                .unwrap()
                .runs
                .values()
                .flatten()
                .for_each(|lines| lines.head.tick());
            screens.push(term.contents());
        }
        drop(terminal);
        screens.push(term.contents());
        screens
    }

    #[test]
    fn both_runs_stand_side_by_side() {
        let screens = screens(recorded());
        let both = &screens[14];
        for wanted in [
            "downloaded gcc-12, 1 MiB\n",
            "= [1/2] COPY . /src  0.1 s, 0.1 s, equal, sha256:25a6634263c1\n",
            "a [2/2] RUN make &&     ./stamp\\x1b[2J ",
            "  | cc -c stamp.c\n  | done\n",
            "b [2/2] RUN make &&     ./stamp\\x1b[2J ",
            "compared =.",
        ] {
            assert!(both.contains(wanted), "{wanted:?} is not in\n{both}");
        }
        assert!(
            both.lines()
                .all(|line| line.chars().count() <= usize::from(WIDTH)),
            "{both}"
        );
    }

    #[test]
    fn steps_of_one_run_stand_below_each_other() {
        let screens = screens(parallel());
        let shows = |screen: &str, wanted: &[&str]| {
            let lines: Vec<_> = screen.lines().map(str::trim_end).collect();
            let mut rest = lines.iter();
            for wanted in wanted {
                assert!(
                    rest.any(|line| line.starts_with(wanted)),
                    "{wanted:?} is missing or misplaced in\n{screen}"
                );
            }
        };
        shows(
            &screens[7],
            &[
                "a [1/3] RUN one",
                "  | of one",
                "a [2/3] RUN two",
                "  | of two",
                "b [1/3] RUN one",
                "compared ...",
            ],
        );
        shows(
            &screens[8],
            &["a [2/3] RUN two", "  | of two", "b [1/3] RUN one"],
        );
        assert!(!screens[8].contains("  | of one"), "{}", screens[8]);
        shows(&screens[9], &["a waiting", "b [1/3] RUN one"]);
    }

    #[test]
    fn at_the_end_only_what_stays_is_left() {
        let end = screens(recorded()).pop().unwrap();
        assert_eq!(
            end,
            "downloaded gcc-12, 1 MiB\n\
             = [1/2] COPY . /src  0.1 s, 0.1 s, equal, sha256:25a6634263c1\n\
             ≠ [2/2] RUN make &&     ./stamp\\x1b[2J  3.4 s, 3.5 s, differs, a sha256:7692c3ad3540, b \
             sha256:3fc4c\ncfe7458\n\
             warning: line 1: the base image is newer than the epoch (epoch-before-base)"
        );
    }

    #[test]
    fn a_bar_shows_how_much_is_there() {
        let screens = screens(recorded());
        assert!(
            screens[1].contains("[============>           ] 512.00 KiB of 1.00 MiB"),
            "{}",
            screens[1]
        );
    }

    #[test]
    fn a_failure_shows_the_end_of_its_log() {
        let end = screens(failing()).pop().unwrap();
        assert!(
            end.starts_with("a [1/3] RUN false: exit code 1\n  | line 10\n"),
            "{end}"
        );
        assert!(end.ends_with("  | line 29"), "{end}");
    }
}
