package disk

import (
	"errors"
	"testing"

	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/sim/agenda"
)

// sick is a disk with one synced file of 2000 times 'a', and its process.
type sick struct {
	*Disk
	t      *testing.T
	agenda *agenda.Agenda
	heard  *heard
	handle *Handle
	last   env.Ticket
}

func newSick(t *testing.T) *sick {
	a := agenda.New()
	s := &sick{Disk: New(a, 1, Normal, unwatched{}), t: t, agenda: a, heard: newHeard()}
	s.handle = s.Open(func(f func(env.Process)) { f(s.heard) })
	s.handle.Create("f", 0)
	s.handle.Append("f", bytesOf('a', 2000))
	if err := errors.Join(s.sync("f"), s.sync("")); err != nil {
		t.Fatal(err)
	}
	return s
}

func bytesOf(c byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = c
	}
	return b
}

func (s *sick) run() {
	for s.agenda.Next(s.agenda.Now() + env.Second) {
	}
}

func (s *sick) sync(name string) error {
	s.last++
	s.handle.Sync(s.last, name)
	s.run()
	return s.heard.synced[s.last]
}

// load gives what a read of a byte finds, 0 if it fails.
func (s *sick) load(position int64) byte {
	s.last++
	s.handle.Load(s.last, "f", position, 1)
	s.run()
	if data := s.heard.loaded[s.last]; len(data) == 1 {
		return data[0]
	}
	return 0
}

// A changed bit is seen by the process and stands on the platter until the byte is
// written and synced again.
func TestFlip(t *testing.T) {
	s := newSick(t)
	if !s.Flip("f", 700, 0) || s.Flip("f", 2000, 0) || s.Flip("g", 0, 0) {
		t.Fatal("a bit that is not there flips, or one that is does not")
	}
	if s.load(700) != 'a'^1 || s.Platter("f")[700] != 'a'^1 || s.Spoilt() != "f" || !s.Rotten() {
		t.Errorf("read %q, on the platter %q, spoilt %q", s.load(700), s.Platter("f")[700], s.Spoilt())
	}
	if s.Flip("f", 700, 0) || s.load(700) != 'a'^1 {
		t.Error("a bit flips back")
	}
	s.handle.WriteAt("f", 0, bytesOf('b', 100))
	if s.Spoilt() != "f" {
		t.Error("a write elsewhere mends it")
	}
	s.handle.WriteAt("f", 690, bytesOf('b', 20))
	s.PowerOff(Crash{Lose: 100})
	if s.Spoilt() != "f" || s.Platter("f")[700] != 'a'^1 {
		t.Error("a write that is lost mends it")
	}
	s.handle = s.Open(func(f func(env.Process)) { f(s.heard) })
	s.handle.WriteAt("f", 690, bytesOf('b', 20))
	if err := s.sync("f"); err != nil || s.Spoilt() != "" || s.Platter("f")[700] != 'b' {
		t.Errorf("written again: %v, spoilt %q", err, s.Spoilt())
	}
}

// A lost sector cannot be read until it is written; the others can.
func TestLose(t *testing.T) {
	s := newSick(t)
	s.Lose("f", 700)
	if s.load(511) != 'a' || s.load(512) != 0 || s.load(1023) != 0 || s.load(1024) != 'a' {
		t.Error("another part than the sector is unreadable")
	}
	s.handle.WriteAt("f", 512, bytesOf('b', 512))
	if s.load(700) != 'b' {
		t.Error("what was written again cannot be read")
	}
}

// A sync that fails loses what it was to cover, says so, and so do the later ones of
// the file in that life; what came after the call is there still.
func TestFailSync(t *testing.T) {
	s := newSick(t)
	s.handle.WriteAt("f", 0, bytesOf('b', 10))
	s.FailSync()
	s.last++
	s.handle.Sync(s.last, "f")
	s.handle.WriteAt("f", 20, bytesOf('c', 10))
	s.run()
	if err := s.heard.synced[s.last]; !errors.Is(err, env.ErrIO) || !s.Failed() {
		t.Errorf("the sync answers %v", err)
	}
	if s.load(0) != 'a' || s.load(20) != 'c' {
		t.Errorf("the file reads %q and %q, want what was lost gone and the rest there", s.load(0), s.load(20))
	}
	if err := s.sync("f"); !errors.Is(err, env.ErrIO) || s.Platter("f")[20] != 'a' {
		t.Errorf("the next sync answers %v, and the platter has %q", err, s.Platter("f")[20])
	}
	s.Kill()
	s.handle = s.Open(func(f func(env.Process)) { f(s.heard) })
	s.handle.WriteAt("f", 0, bytesOf('d', 1))
	if err := s.sync("f"); err != nil || s.Failed() {
		t.Errorf("in the next life: %v", err)
	}
}

// A write that fails changes nothing, and the next sync says so, once.
func TestFailWrite(t *testing.T) {
	s := newSick(t)
	s.FailWrite()
	s.handle.WriteAt("f", 0, bytesOf('b', 10))
	s.handle.WriteAt("f", 5, bytesOf('c', 1))
	if err := s.sync("f"); !errors.Is(err, env.ErrIO) || s.load(0) != 'a' || s.load(5) != 'c' {
		t.Errorf("the sync answers %v; the file reads %q", err, s.load(0))
	}
	if err := s.sync("f"); err != nil {
		t.Errorf("the next sync answers %v", err)
	}
}

// A write that goes elsewhere leaves damage at both places, on the platter and for the
// process, until they are written again.
func TestMisdirect(t *testing.T) {
	s := newSick(t)
	s.handle.Create("g.seg", 0)
	s.handle.Append("g.seg", bytesOf('a', 4*sector))
	if err := errors.Join(s.sync("g.seg"), s.sync("")); err != nil {
		t.Fatal(err)
	}
	s.Misdirect()
	s.handle.Append("f", bytesOf('b', 100)) // is no segment
	if err := s.sync("f"); err != nil || s.Spoilt() != "" {
		t.Fatalf("%v, and %q is spoilt", err, s.Spoilt())
	}
	s.handle.Append("g.seg", bytesOf('b', sector))
	if got := s.Contents("g.seg")[4*sector]; got != 'b' {
		t.Errorf("before the sync the process reads %q", got)
	}
	if err := s.sync("g.seg"); err != nil || s.Spoilt() != "g.seg" || !s.Rotten() || s.Whole("g.seg") {
		t.Fatalf("%v, and %q is spoilt", err, s.Spoilt())
	}
	count := func(c byte) (n int) {
		for i, x := range s.Platter("g.seg") {
			if s.Contents("g.seg")[i] != x {
				t.Fatalf("the process reads other than the platter has at %d", i)
			}
			if x == c {
				n++
			}
		}
		return n
	}
	if a, b, none := count('a'), count('b'), count(0); a != 3*sector || b != sector || none != sector {
		t.Errorf("%d of the old, %d of the new, %d of none", a, b, none)
	}
	s.handle.WriteAt("g.seg", 0, bytesOf('c', 5*sector))
	if err := s.sync("g.seg"); err != nil || s.Spoilt() != "" || count('c') != 5*sector {
		t.Errorf("%v, and %q is spoilt after it was written again", err, s.Spoilt())
	}
}

// A sector that is damaged in several bytes is whole when all of these were written again,
// in however many pieces.
func TestMendInPieces(t *testing.T) {
	s := newSick(t)
	s.handle.Create("g.seg", 0)
	s.handle.Append("g.seg", bytesOf('a', 2*sector))
	if err := errors.Join(s.sync("g.seg"), s.sync("")); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{10, 500} {
		if !s.Flip("g.seg", at, 0) {
			t.Fatal("no bit flips")
		}
	}
	s.handle.WriteAt("g.seg", 0, bytesOf('b', 100))
	if err := s.sync("g.seg"); err != nil || s.Whole("g.seg") || s.Spoilt() != "g.seg" {
		t.Errorf("%v, and one of two damaged bytes written again mends the sector", err)
	}
	s.handle.WriteAt("g.seg", 100, bytesOf('b', 500))
	if s.Whole("g.seg") || s.Spoilt() != "" {
		t.Error("the platter is whole before the sync, or the process has not written all again")
	}
	if err := s.sync("g.seg"); err != nil || !s.Whole("g.seg") {
		t.Errorf("%v, and the file is damaged when all was written again", err)
	}
}

// A stale read misses a write to a sector once, and nothing is wrong with the file.
func TestReadStale(t *testing.T) {
	s := newSick(t)
	s.handle.Create("g.seg", 0)
	s.handle.Append("g.seg", bytesOf('a', 4*sector))
	missed := func() (n int) {
		s.last++
		s.handle.Load(s.last, "g.seg", 0, 4*sector)
		s.run()
		for _, c := range s.heard.loaded[s.last] {
			if c == 0 {
				n++
			}
		}
		return n
	}
	s.ReadStale()
	if got := s.load(0); got != 'a' {
		t.Errorf("a read of another file finds %q", got)
	}
	if first, second := missed(), missed(); first < 1 || first > sector || second != 0 || s.Spoilt() != "" {
		t.Errorf("reads miss %d and %d bytes; %q is spoilt", first, second, s.Spoilt())
	}
}

// A file that is cut short, or taken away, is so for good, also after a power failure, and
// is missed until it is as long as it was.
func TestShortFiles(t *testing.T) {
	for what, hurt := range map[string]func(*sick) bool{
		"cut":   func(s *sick) bool { return s.Cut("f", 100) },
		"taken": func(s *sick) bool { return s.Take("f") },
	} {
		s := newSick(t)
		if !hurt(s) {
			t.Fatalf("%s: there is nothing to hurt", what)
		}
		s.PowerOff(Crash{})
		s.handle = s.Open(func(f func(env.Process)) { f(s.heard) })
		if n := len(s.Contents("f")); n > 100 || len(s.Short()) != 1 || s.Whole("f") {
			t.Errorf("%s: %d bytes are there, short are %v", what, n, s.Short())
		}
		if what == "taken" {
			s.handle.Create("f", 0)
		}
		s.handle.WriteAt("f", 0, bytesOf('a', 2000))
		if err := s.sync("f"); err != nil || len(s.Short()) != 0 {
			t.Errorf("%s: %v, short are %v after it was written again", what, err, s.Short())
		}
		if s.sync(""); !s.Whole("f") {
			t.Errorf("%s: not whole after it was written again", what)
		}
	}
}
