package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/cmd/cli"
	"github.com/reprise-mq/reprise/sim"
	"github.com/reprise-mq/reprise/sim/plan"
)

// call runs a command line in this process.
func call(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	root := newRoot()
	root.SetOut(&out)
	root.SetErr(&err)
	code = cli.Run(context.Background(), root, args)
	return code, out.String(), err.String()
}

func TestUsage(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"frobnicate", cli.Usage, `"frobnicate" is no command`},
		{"run", cli.Usage, "--seed N, --seeds A..B or --plan FILE"},
		{"run --seeds 9..2", cli.Usage, "A..B"},
		{"run --seeds nine", cli.Usage, "A..B"},
		{"run --seed 1 --jobs 0", cli.Usage, "at least 1"},
		{"run --seeds 1..2 --trace x", cli.Usage, "--trace is for one seed"},
		{"run --seed 1 --seeds 1..2", cli.Usage, "[seed seeds]"},
		{"run --seed 1 more", cli.Usage, "takes no argument"},
		{"run --shout", cli.Usage, "--shout"},
		{"replay", cli.Usage, "FILE"},
		{"replay " + missing, cli.Failed, "no such file"},
		{"check", cli.Usage, "FILE"},
		{"check " + missing, cli.Failed, "no such file"},
		{"inspect", cli.Usage, "FILE or --seed"},
		{"inspect --workload nope --seed 7", cli.Usage, "no workload"},
		{"inspect x --workload group", cli.Usage, "for --seed"},
		{"shrink --scenario nope --seed 3", cli.Usage, "--seed 3"},
		{"inspect " + missing, cli.Failed, "no such file"},
		{"campaign --minutes 0", cli.Usage, "at least 1"},
	} {
		code, _, stderr := call(strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit %d, %q; want exit %d and %q", c.args, code, stderr, c.code, c.says)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range []string{"", "run", "replay", "check", "inspect", "campaign"} {
		code, stdout, _ := call(append(strings.Fields(args), "--help")...)
		if code != 0 || !strings.Contains(stdout, "reprise-sim "+args) {
			t.Errorf("%s --help: exit %d, %q", args, code, stdout)
		}
	}
}

// quick is a plan that runs in no time.
func quick(t *testing.T) (file string) {
	t.Helper()
	p, err := plan.GenerateWorkload("log", 5)
	if err != nil {
		t.Fatal(err)
	}
	p.Small, p.Safety, p.Faults, p.Operations = true, 2_000, nil, p.Operations[:60]
	file = filepath.Join(t.TempDir(), "quick.plan.json")
	if err := os.WriteFile(file, plan.Encode(p), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// A plan runs in a child process; what comes of it has the promised fields.
func TestRunPlan(t *testing.T) {
	program, file := build(t, nil), quick(t)
	out, err := exec.Command(program, "run", "--plan", file, "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(out, &fields); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	for _, name := range []string{"seed", "verdict", "anomalies", "trace", "ops", "acked", "faults", "virtual_ms", "wall_ms"} {
		if _, ok := fields[name]; !ok {
			t.Errorf("no field %s in %s", name, out)
		}
	}
	if fields["verdict"] != string(checker.Pass) || fields["seed"] != 5.0 {
		t.Errorf("%s", out)
	}
	again, err := exec.Command(program, "replay", file).Output()
	if err != nil || !strings.Contains(string(again), "trace "+fields["trace"].(string)) {
		t.Errorf("replayed: %v\n%s", err, again)
	}
}

// What a failing run leaves behind can be replayed, checked and inspected.
func TestKeptRun(t *testing.T) {
	p, err := readPlan(quick(t))
	if err != nil {
		t.Fatal(err)
	}
	r, err := runPlan(p, "", sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := save(folder, p, r); err != nil {
		t.Fatal(err)
	}
	history := filepath.Join(folder, "seed-5.history.jsonl")
	if code, stdout, stderr := call("check", history); code != 0 || !strings.Contains(stdout, "pass") {
		t.Errorf("check: exit %d\n%s%s", code, stdout, stderr)
	}
	picture := filepath.Join(folder, "report.html")
	for _, kept := range []string{"seed-5.plan.json", "seed-5.history.jsonl", "seed-5.txt"} {
		code, stdout, stderr := call("inspect", filepath.Join(folder, kept), "--out", picture, "--text")
		if code != 0 || !strings.Contains(stdout, "trace "+r.Trace) || !strings.Contains(stdout, "became leader") {
			t.Errorf("inspect %s: exit %d\n%s%s", kept, code, stdout, stderr)
		}
	}
	if page, err := os.ReadFile(picture); err != nil || !bytes.Contains(page, []byte("<html")) {
		t.Errorf("the picture: %v, %d bytes", err, len(page))
	}
}

// retained is a history whose broker gave records up by itself; the note that says so is
// the first line.
const retained = `{"index":0,"time":0,"process":-1,"kind":"note","op":"retention","topic":"t"}
{"index":1,"time":0,"process":0,"kind":"invoke","op":"produce","topic":"t","partition":0,"values":[100,101],"acks":"all"}
{"index":2,"time":1,"process":0,"kind":"ok","op":"produce","offset":0,"log_start":0}
{"index":3,"time":2,"process":0,"kind":"invoke","op":"fetch","topic":"t","partition":0,"offset":0}
{"index":4,"time":3,"process":0,"kind":"ok","op":"fetch","records":[[0,100],[1,101]],"high_watermark":2,"log_start":0}
{"index":5,"time":4,"process":0,"kind":"invoke","op":"list_offsets","topic":"t","partition":0,"spec":"earliest"}
{"index":6,"time":5,"process":0,"kind":"ok","op":"list_offsets","offset":1}
`

// A history says that its topic gives records up, or who has it judged does.
func TestRetentionOfHistory(t *testing.T) {
	silent := strings.Replace(retained, `"note","op":"retention","topic":"t"`, `"note","op":"fault","name":"","target":"","phase":"point"`, 1)
	for _, c := range []struct {
		history, flag, verdict string
	}{
		{retained, "--retention=false", "pass"},
		{silent, "--retention", "pass"},
		{silent, "--retention=false", "fail"},
	} {
		file := filepath.Join(t.TempDir(), "h.jsonl")
		if err := os.WriteFile(file, []byte(c.history), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"check", "inspect"} {
			if _, stdout, stderr := call(command, file, c.flag); !strings.Contains(stdout, "Verdict: "+c.verdict) {
				t.Errorf("%s %s: want %s:\n%s%s", command, c.flag, c.verdict, stdout, stderr)
			}
		}
	}
}

// A history that cannot be read is named with its line, and the others are judged. One that
// proves nothing is no success.
func TestCheckSeveral(t *testing.T) {
	folder := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(folder, name)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	good := file("good.jsonl", retained)
	bad := file("bad.jsonl", strings.Replace(retained, `"kind":"ok"`, `"kind":"okk"`, 1))
	empty := file("empty.jsonl", "")
	code, stdout, stderr := call("check", good, bad, good)
	if code != cli.Failed || strings.Count(stdout, "Verdict: pass") != 2 || !strings.Contains(stderr, "bad.jsonl: malformed history: line 3") {
		t.Errorf("check: exit %d\n%s%s", code, stdout, stderr)
	}
	if code, stdout, _ := call("check", empty); code != cli.Failed || !strings.Contains(stdout, "Verdict: weak") {
		t.Errorf("check of nothing: exit %d\n%s", code, stdout)
	}
	if code, _, _ := call("check", good); code != 0 {
		t.Errorf("check: exit %d", code)
	}
	if code, _, stderr := call("inspect", bad); code != cli.Failed || !strings.Contains(stderr, "bad.jsonl: malformed history: line 3") {
		t.Errorf("inspect: exit %d, %s", code, stderr)
	}
	if code, _, stderr := call("inspect", file("neither", "{")); code != cli.Failed || !strings.Contains(stderr, "neither a plan nor a history") || !strings.Contains(stderr, "line 1") {
		t.Errorf("inspect: exit %d, %s", code, stderr)
	}
}

// A run that crashes or says nonsense fails its own seed, and the next one runs.
func TestCrashIsContained(t *testing.T) {
	name := filepath.Join(t.TempDir(), "no.plan.json")
	if err := os.WriteFile(name, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	program := build(t, nil)
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	tasks := make(chan task, 3)
	file := quick(t)
	tasks <- task{Seed: 1, Plan: file}
	tasks <- task{Seed: 2, Plan: name}
	tasks <- task{Seed: 3, Plan: file}
	close(tasks)
	verdicts := make(map[uint64]string)
	p := pool{program: program, jobs: 1, tasks: tasks, took: func(tk task, o *outcome) {
		verdicts[tk.Seed] = string(o.Verdict) + strings.Join(o.Anomalies, ",")
	}}
	if err := p.run(ctx); err != nil {
		t.Fatal(err)
	}
	if verdicts[1] != "pass" || verdicts[2] != "failcrash" || verdicts[3] != "pass" {
		t.Errorf("verdicts %v", verdicts)
	}
}

// A hundred seeds with one that proves nothing are no success.
func TestTally(t *testing.T) {
	tally := newTally()
	for range 99 {
		tally.add(&outcome{Verdict: checker.Pass, Faults: map[string]int{"crash": 2}})
	}
	if tally.failed() {
		t.Error("99 passes failed")
	}
	tally.add(&outcome{Verdict: checker.Weak})
	if !tally.failed() || !strings.Contains(tally.summary(), "99 pass, 1 weak") || !strings.Contains(tally.summary(), "198  (99)") {
		t.Error(tally.summary())
	}
}
