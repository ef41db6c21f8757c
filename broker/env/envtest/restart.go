package envtest

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/env"
)

var restartTests = []test{
	{"what was synced survives", testSurvives},
	{"unsynced writes touch nothing else", testUnsynced},
	{"a synced removal stays", testRemovalStays},
	{"a synced truncation stays", testTruncationStays},
	{"the old life hears nothing", testOldLife},
}

// restart begins another life of the node.
func (b *bench) restart() {
	p := newProbe(b.t)
	b.host.Restart(p.start)
	b.probe = p
}

func testSurvives(t *testing.T, w World) {
	b := newBench(t, w)
	big := strings.Repeat("contents", 5000)
	b.calls(func(d env.Disk) {
		d.Create("a/b/f", 0)
		d.Append("a/b/f", []byte(big))
		d.Create("zeros", 70_000)
	})
	for _, name := range []string{"a/b/f", "a/b/", "zeros", ""} {
		b.wantSync(name, nil)
	}
	b.calls(func(d env.Disk) { d.Append("a/b/f", []byte("unsynced")) })
	b.restart()
	data, err := b.load("a/b/f", 0, len(big)+100)
	if err != nil || !bytes.HasPrefix(data, []byte(big)) || len(data) > len(big)+len("unsynced") {
		t.Fatalf("after a restart the file has %d bytes, %v; synced were %d", len(data), err, len(big))
	}
	b.wantFile("zeros", strings.Repeat("\x00", 70_000))
	b.wantList("", "a/:0 zeros:70000")
}

func testUnsynced(t *testing.T, w World) {
	b := newBench(t, w)
	b.calls(func(d env.Disk) {
		d.Create("f", 0)
		d.Append("f", bytes.Repeat([]byte{'a'}, 8192))
	})
	b.wantSync("f", nil)
	b.wantSync("", nil)
	b.calls(func(d env.Disk) {
		d.WriteAt("f", 700, bytes.Repeat([]byte{'b'}, 3000))
		d.WriteAt("f", 900, bytes.Repeat([]byte{'c'}, 10))
	})
	b.restart()
	data, err := b.load("f", 0, 9000)
	if err != nil || len(data) != 8192 {
		t.Fatalf("after a restart the file has %d bytes, %v", len(data), err)
	}
	for i, c := range data {
		if written := i >= 700 && i < 3700; c != 'a' && !(written && (c == 'b' || c == 'c')) {
			t.Fatalf("after a restart byte %d is %q", i, c)
		}
	}
}

func testRemovalStays(t *testing.T, w World) {
	b := newBench(t, w)
	b.calls(func(d env.Disk) {
		d.Create("folder/f", 10)
		d.Create("folder/g", 10)
	})
	b.wantSync("folder/g", nil)
	b.wantSync("folder/", nil)
	b.calls(func(d env.Disk) { d.Remove("folder/f") })
	b.wantSync("folder/", nil)
	b.restart()
	b.wantNone("folder/f")
	b.wantList("folder/", "folder/g:10")
}

func testTruncationStays(t *testing.T, w World) {
	b := newBench(t, w)
	b.calls(func(d env.Disk) {
		d.Create("f", 0)
		d.Append("f", []byte("kept, cut"))
		d.Truncate("f", 4)
	})
	b.wantSync("f", nil)
	b.wantSync("", nil)
	b.restart()
	b.wantFile("f", "kept")
}

func testOldLife(t *testing.T, w World) {
	b := newBench(t, w)
	old := b.probe
	ticket := b.ticket()
	b.calls(func(d env.Disk) {
		d.Create("f", 100_000)
		d.Sync(ticket, "f")
		old.clock.WakeAt(old.clock.Now() + 20*env.Millisecond)
	})
	b.restart()
	events := func() (n int) {
		old.mu.Lock()
		defer old.mu.Unlock()
		return len(old.synced) + len(old.woken)
	}
	before := events()
	b.host.Do(func() { b.clock.WakeAt(b.clock.Now() + 50*env.Millisecond) })
	b.await("a wake of the new life", b.see(func() bool { return len(b.woken) == 1 }))
	if after := events(); after != before {
		t.Fatalf("%d events reached a process that had ended", after-before)
	}
	if err := b.sync(""); errors.Is(err, env.ErrNotExist) {
		t.Fatalf("the new life's disk: %v", err)
	}
}
