package envtest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/env"
)

var diskTests = []test{
	{"create is filled with zeros", testCreate},
	{"append, write at, truncate", testWrites},
	{"calls on one file keep their order", testOrder},
	{"missing files", testMissing},
	{"an error is told at the next sync and only there", testErrorOnce},
	{"an error is told of its own file only", testErrorElsewhere},
	{"load ends with the file", testLoadShort},
	{"what was loaded belongs to the process", testLoadOwned},
	{"list", testList},
	{"list sees earlier calls", testListSees},
	{"remove", testRemove},
	{"remove a folder", testRemoveFolder},
	{"sync of a folder", testSyncFolder},
	{"names that lead elsewhere", testNames},
	{"there is room", testFree},
	{"every call is flushed", testFlushed},
	{"like a map of byte slices", testModel},
}

func testCreate(t *testing.T, w World) {
	b := newBench(t, w)
	for _, size := range []int64{0, 1, 511, 4096, 300_000} {
		name := fmt.Sprintf("folder/f%d", size)
		b.calls(func(d env.Disk) { d.Create(name, size) })
		b.wantSync(name, nil)
		b.wantFile(name, strings.Repeat("\x00", int(size)))
	}
}

func testFree(t *testing.T, w World) {
	b := newBench(t, w)
	const size = 100_000
	b.calls(func(d env.Disk) { d.Create("f", size) })
	b.wantSync("f", nil)
	b.await("some more room", func() (enough bool) {
		b.calls(func(d env.Disk) { enough = d.Free() > size })
		return enough
	})
}

func testWrites(t *testing.T, w World) {
	b := newBench(t, w)
	b.calls(func(d env.Disk) {
		d.Create("f", 3)
		d.Append("f", []byte("abc"))
		d.WriteAt("f", 1, []byte("xy"))
		d.Append("f", nil)
	})
	b.wantFile("f", "\x00xyabc")
	b.calls(func(d env.Disk) { d.WriteAt("f", 8, []byte("z")) })
	b.wantFile("f", "\x00xyabc\x00\x00z")
	b.calls(func(d env.Disk) { d.Truncate("f", 2) })
	b.wantFile("f", "\x00x")
	b.calls(func(d env.Disk) { d.Truncate("f", 4) })
	b.wantFile("f", "\x00x\x00\x00")
	b.calls(func(d env.Disk) { d.Append("f", []byte("end")) })
	b.wantFile("f", "\x00x\x00\x00end")
	b.wantSync("f", nil)
	b.wantFile("f", "\x00x\x00\x00end")
}

func testOrder(t *testing.T, w World) {
	b := newBench(t, w)
	const n = 200
	want := make([]byte, 0, n)
	var loads [n]env.Ticket
	b.calls(func(d env.Disk) {
		d.Create("f", 0)
		d.Create("other", 0)
		for i := range n {
			d.Append("f", []byte{byte(i)})
			d.Append("other", []byte("x"))
			want = append(want, byte(i))
			loads[i] = b.ticket()
			d.Load(loads[i], "f", 0, n)
		}
	})
	for i, l := range loads {
		if data, err := b.loadedWith(l); err != nil || !bytes.Equal(data, want[:i+1]) {
			t.Fatalf("load after append %d sees %d bytes, %v", i, len(data), err)
		}
	}
	b.wantFile("other", strings.Repeat("x", n))
}

func testMissing(t *testing.T, w World) {
	b := newBench(t, w)
	writes := []func(env.Disk){
		func(d env.Disk) { d.Append("folder/f", []byte("x")) },
		func(d env.Disk) { d.WriteAt("folder/f", 0, []byte("x")) },
		func(d env.Disk) { d.Truncate("folder/f", 1) },
		func(d env.Disk) { d.Remove("folder/f") },
		func(env.Disk) {}, // the sync alone
	}
	for _, write := range writes {
		b.calls(write)
		b.wantNone("folder/f")
		b.wantSync("folder/f", env.ErrNotExist)
	}
	if err := b.sync("nofolder/"); !errors.Is(err, env.ErrNotExist) {
		t.Fatalf("sync of a folder that is not there: %v", err)
	}
}

func testErrorOnce(t *testing.T, w World) {
	b := newBench(t, w)
	tickets := []env.Ticket{b.ticket(), b.ticket(), b.ticket(), b.ticket()}
	b.calls(func(d env.Disk) {
		d.Create("f", 2)
		d.Sync(tickets[0], "f")
		d.Create("f", 9)
		d.WriteAt("f", 0, []byte("a"))
		d.Sync(tickets[1], "f")
		d.Sync(tickets[2], "f")
		d.WriteAt("f", 1, []byte("b"))
		d.Sync(tickets[3], "f")
	})
	for i, want := range []error{nil, env.ErrExist, nil, nil} {
		if err := b.syncedWith(tickets[i]); !errors.Is(err, want) {
			t.Fatalf("sync %d: %v, want %v", i, err, want)
		}
	}
	b.wantFile("f", "ab")
}

func testErrorElsewhere(t *testing.T, w World) {
	b := newBench(t, w)
	b.calls(func(d env.Disk) {
		d.Create("folder/f", 2)
		d.Create("folder/g", 2)
		d.Create("folder/f", 2)
	})
	b.wantSync("folder/g", nil)
	b.wantSync("folder/", nil)
	b.wantFile("folder/f", "\x00\x00")
	b.wantSync("folder/f", env.ErrExist)
}

func testLoadShort(t *testing.T, w World) {
	b := newBench(t, w)
	b.calls(func(d env.Disk) {
		d.Create("f", 0)
		d.Append("f", []byte("0123456789"))
	})
	for _, c := range []struct {
		position int64
		length   int
		want     string
	}{
		{0, 10, "0123456789"}, {0, 1 << 20, "0123456789"}, {3, 4, "3456"}, {8, 4, "89"},
		{10, 4, ""}, {11, 4, ""}, {1 << 40, 4, ""}, {4, 0, ""},
	} {
		if data, err := b.load("f", c.position, c.length); err != nil || string(data) != c.want {
			t.Fatalf("load of %d at %d: %q, %v; want %q", c.length, c.position, data, err, c.want)
		}
	}
}

func testLoadOwned(t *testing.T, w World) {
	b := newBench(t, w)
	b.calls(func(d env.Disk) {
		d.Create("f", 0)
		d.Append("f", []byte("kept"))
	})
	data, _ := b.load("f", 0, 4)
	copy(data, "lost")
	b.wantFile("f", "kept")
}

func testList(t *testing.T, w World) {
	b := newBench(t, w)
	if entries, err := b.list("folder/"); err != nil || len(entries) != 0 {
		t.Fatalf("a folder that is not there lists as %v, %v", entries, err)
	}
	b.calls(func(d env.Disk) {
		for _, name := range []string{"folder/b", "folder/a/x", "folder/a0", "folder/a.b", "folder/a-b", "top"} {
			d.Create(name, 3)
		}
		d.Append("folder/b", []byte("more"))
		d.Truncate("folder/a0", 1)
	})
	b.wantList("folder/", "folder/a-b:3 folder/a.b:3 folder/a/:0 folder/a0:1 folder/b:7")
	b.wantList("", "folder/:0 top:3")
	b.wantList("folder/a/", "folder/a/x:3")
}

func (b *bench) wantList(folder, want string) {
	b.t.Helper()
	entries, err := b.list(folder)
	var got []string
	for _, e := range entries {
		got = append(got, fmt.Sprintf("%s:%d", e.Name, e.Size))
	}
	if err != nil || strings.Join(got, " ") != want {
		b.t.Fatalf("list of %q: %v, %v; want %v", folder, got, err, want)
	}
}

func testListSees(t *testing.T, w World) {
	b := newBench(t, w)
	for i := range 20 {
		tickets := []env.Ticket{b.ticket(), b.ticket()}
		name := fmt.Sprintf("folder/f%d", i)
		b.calls(func(d env.Disk) {
			d.Create(name, 100_000)
			d.Append(name, []byte("x"))
			d.List(tickets[0], "folder/")
			d.Remove(name)
			d.List(tickets[1], "folder/")
		})
		var lists [2]listed
		for j, ticket := range tickets {
			b.await("the answer to a list", b.see(func() (ok bool) { lists[j], ok = b.listed[ticket]; return ok }))
		}
		if want := []env.FileInfo{{Name: name, Size: 100_001}}; !slices.Equal(lists[0].entries, want) {
			t.Fatalf("list after writes: %v, want %v", lists[0].entries, want)
		}
		if len(lists[1].entries) != 0 {
			t.Fatalf("list after a removal: %v", lists[1].entries)
		}
	}
}

func testRemove(t *testing.T, w World) {
	b := newBench(t, w)
	b.calls(func(d env.Disk) {
		d.Create("f", 0)
		d.Append("f", []byte("old"))
		d.Remove("f")
	})
	b.wantNone("f")
	b.wantSync("", nil)
	b.calls(func(d env.Disk) {
		d.Create("f", 0)
		d.Append("f", []byte("new"))
	})
	b.wantSync("f", nil)
	b.wantFile("f", "new")
}

func testRemoveFolder(t *testing.T, w World) {
	b := newBench(t, w)
	b.calls(func(d env.Disk) {
		d.Create("folder/f", 1)
		d.Remove("folder/")
	})
	if err := b.sync("folder/"); err == nil {
		t.Fatal("a folder with a file in it was removed")
	}
	b.wantFile("folder/f", "\x00")
	b.calls(func(d env.Disk) {
		d.Remove("folder/f")
		d.Remove("folder/")
	})
	b.wantList("", "")
	b.calls(func(d env.Disk) { d.Create("folder/g", 1) })
	b.wantSync("folder/g", nil)
	b.wantList("folder/", "folder/g:1")
}

func testSyncFolder(t *testing.T, w World) {
	b := newBench(t, w)
	b.wantSync("", nil)
	for i := range 10 {
		ticket := b.ticket()
		b.calls(func(d env.Disk) {
			d.Create(fmt.Sprintf("a/b/f%d", i), 1000)
			d.Sync(ticket, "a/b/")
		})
		if err := b.syncedWith(ticket); err != nil {
			t.Fatalf("sync of a folder: %v", err)
		}
	}
}

func testNames(t *testing.T, w World) {
	b := newBench(t, w)
	for _, name := range []string{"..", "../f", "a/../../f", "/f", "/etc/f", "a//f", "./f", "F", "a b", "ä", "a\\b", "f\x00"} {
		b.calls(func(d env.Disk) {
			d.Create(name, 1)
			d.Append(name, []byte("x"))
			d.Remove(name)
		})
		if err := b.sync(name); err == nil {
			t.Errorf("sync of %q: no error", name)
		}
		if _, err := b.load(name, 0, 1); err == nil {
			t.Errorf("load of %q: no error", name)
		}
		if _, err := b.list(name + "/"); err == nil {
			t.Errorf("list of %q: no error", name+"/")
		}
	}
	b.calls(func(d env.Disk) { d.Create("folder/", 1) })
	if err := b.sync("folder/"); err == nil {
		t.Error("a file with a folder's name was created")
	}
	if _, err := b.load("folder/", 0, 1); err == nil {
		t.Error("a folder was loaded")
	}
	if _, err := b.list("folder"); err == nil {
		t.Error("a folder was listed by a file's name")
	}
	b.wantList("", "")
}

func testFlushed(t *testing.T, w World) {
	b := newBench(t, w)
	b.wantSync("", nil)
	b.await("a flush after the last event", b.see(func() bool { return b.unflushed == 0 }))
}
