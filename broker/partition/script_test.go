package partition

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/idle"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts in testdata answer into them")

// TestScripts runs testdata/*.txt. Each line is a command; the answer stands below
// it, indented. Every story begins with an empty partition.
//
//	produce id=N epoch=N seq=N count=N   a batch; no id: not idempotent
//	trim before=N
//	settings version=N [segment=N] [time=N] [bytes=N]   no time, no bytes: no limit
//	age ms=N                              the log has lasted so much longer
//	wait minutes=N                        commands once a minute, which do nothing
//	jump minutes=N                        the leader's wall clock leaps
//	restart                               into another state, by Save and Restore
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { runFile(t, file) })
	}
}

func runFile(t *testing.T, file string) {
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, story := &bytes.Buffer{}, &story{t: t, state: New(0)}
	lines := bufio.NewScanner(bytes.NewReader(want))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "  ") {
			continue
		}
		fmt.Fprintln(got, line)
		if line != "" && !strings.HasPrefix(line, "#") {
			fmt.Fprintf(got, "  %s\n", story.run(line))
		}
	}
	if *rewrite {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got.String() != string(want) {
		t.Errorf("%s answers differently; see with go test -rewrite and git diff:\n%s", file, got)
	}
}

type story struct {
	t      *testing.T
	state  *State
	now    api.Milliseconds
	age    api.Milliseconds
	number uint64
}

func (s *story) run(line string) string {
	name, args, _ := strings.Cut(line, " ")
	var id, epoch, seq, count, before, minutes, version, segment, ms int64
	var time, bytes int64 = NoLimit, NoLimit
	for _, arg := range strings.Fields(args) {
		key, value, _ := strings.Cut(arg, "=")
		to := map[string]*int64{"id": &id, "epoch": &epoch, "seq": &seq, "count": &count,
			"before": &before, "minutes": &minutes,
			"version": &version, "segment": &segment, "time": &time, "bytes": &bytes, "ms": &ms}[key]
		if to == nil {
			s.t.Fatalf("no such argument: %s", line)
		}
		if _, err := fmt.Sscan(value, to); err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
	}
	s.number++
	tag := Tag{Origin: 1, Number: s.number}
	switch name {
	case "produce":
		return s.apply(EncodeProduce(tag, s.now, s.age, header(id, epoch, seq, count)))
	case "trim":
		return s.apply(EncodeTrim(tag, s.now, api.Offset(before)))
	case "settings":
		return s.apply(EncodeSettings(tag, s.now, Settings{
			Version: uint64(version), SegmentBytes: uint64(segment), RetentionTime: api.Milliseconds(time), RetentionBytes: bytes,
		}))
	case "age":
		s.age += api.Milliseconds(ms)
		return s.apply(EncodeAge(tag, s.now, s.age))
	case "wait":
		for range minutes {
			s.now += idle.MaxStep
			s.state.Apply(EncodeTrim(tag, s.now, 0))
		}
	case "jump":
		s.now += api.Milliseconds(minutes) * idle.MaxStep
	case "restart":
		restarted := New(0)
		if err := restarted.Restore(s.state.Save()); err != nil {
			s.t.Fatal(err)
		}
		s.state = restarted
	default:
		s.t.Fatalf("no such command: %s", line)
	}
	return fmt.Sprintf("start=%d end=%d producers=%d", s.state.LogStart(), s.state.End(), s.state.producers.Len())
}

func (s *story) apply(command []byte) string {
	out := s.state.Apply(command)
	if out.Tag.Number != s.number {
		s.t.Fatalf("tag %v, want %d", out.Tag, s.number)
	}
	if out.Code != api.Code_OK {
		if out.Base != NoOffset || out.Count != 0 || out.Duplicate {
			s.t.Fatalf("an error with an offset: %+v", out)
		}
		return fmt.Sprintf("%s: %s", out.Code, out.Message)
	}
	text := fmt.Sprintf("OK base=%d count=%d start=%d", out.Base, out.Count, out.LogStart)
	if out.Duplicate {
		text += " duplicate"
	}
	return text
}
