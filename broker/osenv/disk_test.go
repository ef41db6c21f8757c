package osenv

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/env"
)

// A full disk: what was there stays, and when there is room the file goes on.
func TestDiskFull(t *testing.T) {
	r := newRig(t)
	r.calls(func(d *Disk) {
		d.Create("f", 0)
		d.Append("f", []byte("before."))
	})
	r.wantSync("f", nil)
	r.fail("write f", syscall.ENOSPC)
	r.calls(func(d *Disk) {
		d.Append("f", []byte("half of this"))
		d.WriteAt("f", 5, []byte("over the end"))
		d.Create("g", 10)
	})
	r.wantSync("f", env.ErrNoSpace)
	r.fail("write f", nil)
	r.calls(func(d *Disk) { d.Append("f", []byte("after")) })
	r.wantSync("f", nil)
	if len(r.sizeOf("f")) != 1 || r.sizeOf("f")[0].Size != 12 {
		t.Fatalf("the file is %v", r.sizeOf("f"))
	}
}

func TestDiskFullAtCreate(t *testing.T) {
	r := newRig(t)
	r.fail("write x/f", syscall.EDQUOT)
	r.calls(func(d *Disk) { d.Create("x/f", 10) })
	r.wantSync("x/f", env.ErrNoSpace)
	if found := r.sizeOf("x/f"); len(found) != 0 {
		t.Fatalf("a failed creation left %v", found)
	}
	r.fail("write x/f", nil)
	r.calls(func(d *Disk) { d.Create("x/f", 3) })
	r.wantSync("x/f", nil)
	r.wantFile("x/f", "\x00\x00\x00")
}

// After a failed sync the file is lost for this life, however well the next go.
func TestFailedSyncIsRemembered(t *testing.T) {
	r := newRig(t)
	r.calls(func(d *Disk) { d.Create("f", 3) })
	r.fail("sync f", syscall.EIO)
	r.wantSync("f", env.ErrIO)
	r.fail("sync f", nil)
	r.calls(func(d *Disk) { d.WriteAt("f", 0, []byte("a")) })
	r.wantSync("f", env.ErrIO)
	r.wantSync("f", env.ErrIO)
	if n := r.fs.count("sync f"); n != 1 {
		t.Fatalf("a lost file was synced %d times", n)
	}
	r.calls(func(d *Disk) {
		d.Remove("f")
		d.Create("f", 1)
	})
	r.wantSync("f", nil)
	r.fail("sync ", syscall.EIO)
	r.wantSync("", env.ErrIO)
	r.fail("sync ", nil)
	r.wantSync("", env.ErrIO)
}

// Errors of the operating system say what was done to which file of the disk, and
// not where on the machine it is.
func TestErrorsAreClear(t *testing.T) {
	r := newRig(t)
	r.fail("create f", syscall.EACCES)
	r.calls(func(d *Disk) { d.Create("f", 3) })
	err := r.sync("f")
	if err == nil || err.Error() != `create "f": permission denied` {
		t.Fatalf("the error is %q", err)
	}
	for _, sentinel := range []error{env.ErrExist, env.ErrNotExist, env.ErrNoSpace, env.ErrIO} {
		if errors.Is(err, sentinel) {
			t.Fatalf("%v is taken for %v", err, sentinel)
		}
	}
	r.fail("mkdir x/", syscall.ENOSPC)
	r.calls(func(d *Disk) { d.Create("x/f", 3) })
	r.wantSync("x/f", env.ErrNoSpace)
	r.calls(func(d *Disk) { d.Create("file", 3) })
	r.wantSync("file", nil)
	r.calls(func(d *Disk) { d.Create("file/g", 3) })
	if err := r.sync("file/g"); err == nil {
		t.Fatal("a file was created in a file")
	}
	r.wantSync("file", nil)
}

func TestReadError(t *testing.T) {
	r := newRig(t)
	r.calls(func(d *Disk) { d.Create("f", 3) })
	r.fail("read f", syscall.EIO)
	r.wantFile("f", "")
	r.fail("read f", nil)
	r.wantFile("f", "\x00\x00\x00")
	r.wantSync("f", nil)
}

func TestJournalDoesNotWaitForSegments(t *testing.T) {
	r := newRig(t)
	r.calls(func(d *Disk) { d.Create("journal/1", 4096) })
	r.wantSync("journal/1", nil)
	release := r.hold("sync groups/*")
	var segments []env.Ticket
	for i := range 3 * poolWorkers {
		name := "groups/" + string(rune('a'+i))
		segments = append(segments, r.begin(func(t env.Ticket) {
			r.disk.Create(name, 10)
			r.disk.Sync(t, name)
		}))
	}
	r.calls(func(d *Disk) { d.WriteAt("journal/1", 0, []byte("x")) })
	r.wantSync("journal/1", nil)
	for _, s := range segments {
		if ok, _ := r.answered(s); ok {
			t.Fatal("the segments are not held")
		}
	}
	release()
	for _, s := range segments {
		if err := r.await(s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFilesDoNotWaitForEachOther(t *testing.T) {
	r := newRig(t)
	r.calls(func(d *Disk) {
		d.Create("x/a", 10)
		d.Create("x/b", 10)
	})
	r.wantSync("x/", nil)
	release := r.hold("sync x/a")
	a := r.begin(func(t env.Ticket) { r.disk.Sync(t, "x/a") })
	r.wantSync("x/b", nil)
	r.wantSync("x/", nil)
	if ok, _ := r.answered(a); ok {
		t.Fatal("the sync is not held")
	}
	release()
	if err := r.await(a); err != nil {
		t.Fatal(err)
	}
}

func TestFolderSyncWaitsForNames(t *testing.T) {
	r := newRig(t)
	r.calls(func(d *Disk) { d.Create("x/a", 10) })
	r.wantSync("x/a", nil)
	for _, what := range []string{"create x/b", "remove x/a"} {
		release := r.hold(what)
		folder := r.begin(func(t env.Ticket) {
			r.disk.Create("x/b", 10)
			r.disk.Remove("x/a")
			r.disk.Sync(t, "x/")
		})
		time.Sleep(10 * time.Millisecond)
		if ok, _ := r.answered(folder); ok {
			t.Fatalf("the folder was synced before %s", what)
		}
		release()
		if err := r.await(folder); err != nil {
			t.Fatal(err)
		}
		log := r.fs.did()
		if slices.Index(log, "sync x/") < slices.Index(log, what) {
			t.Fatalf("the folder was synced before %s: %v", what, log)
		}
	}
}

// A new folder is durable before a file in it can be.
func TestNewFoldersAreSynced(t *testing.T) {
	r := newRig(t)
	r.calls(func(d *Disk) { d.Create("a/b/f", 0) })
	r.wantSync("a/b/f", nil)
	want := []string{"mkdir a/", "sync ", "mkdir a/b/", "sync a/", "create a/b/f", "sync a/b/f"}
	if got := r.fs.did(); !slices.Equal(got, want) {
		t.Fatalf("done: %v, want %v", got, want)
	}
}

func TestAppendsAreMerged(t *testing.T) {
	r := newRig(t)
	r.calls(func(d *Disk) { d.Create("f", 0) })
	r.wantSync("f", nil)
	release := r.hold("write f")
	first := r.begin(func(t env.Ticket) { r.disk.Append("f", []byte("0")); r.disk.Sync(t, "f") })
	r.calls(func(d *Disk) {
		for range 100 {
			d.Append("f", []byte("x"))
		}
		d.Append("f", make([]byte, mergeMax))
	})
	release()
	r.await(first)
	r.wantSync("f", nil)
	if n := r.fs.count("write f"); n != 3 {
		t.Fatalf("102 appends took %d writes, want 3", n)
	}
	r.wantFile("f", "0"+strings.Repeat("x", 100)+strings.Repeat("\x00", mergeMax))
}

func TestOpenFilesAreBounded(t *testing.T) {
	const files = poolFiles + 50
	r := newRig(t)
	name := func(i int) string { return "x/" + string(rune('a'+i%26)) + "/" + strings.Repeat("n", 1+i/26) }
	r.calls(func(d *Disk) {
		for i := range files {
			d.Create(name(i), 1)
			d.Append(name(i), []byte{byte(i)})
		}
	})
	for i := range files {
		r.wantFile(name(i), "\x00"+string([]byte{byte(i)}))
	}
	if n := r.fs.mostOpen(); n > poolFiles+poolWorkers {
		t.Fatalf("%d files were open", n)
	}
	if n := r.fs.count("sync " + name(0)); n == 0 {
		t.Fatal("a file was closed without a sync")
	}
}

// Where a process may have few files, a disk takes few, and some are left for connections.
func TestFewFilesAreSpared(t *testing.T) {
	for _, limit := range []int{64, 150, 1024, 1 << 20} {
		if left := limit - 2*(poolFilesOf(limit)+poolWorkers); left < limit/4 {
			t.Errorf("of %d files the disk leaves %d", limit, left)
		}
	}
	r := newRig(t)
	r.disk.poolFiles = 3
	for _, name := range strings.Split("abcdefghijklmnopqrst", "") {
		r.calls(func(d *Disk) { d.Create("x/"+name, 0) })
		r.wantFile("x/"+name, "")
	}
	if n := r.fs.mostOpen(); n > r.disk.poolFiles+poolWorkers {
		t.Fatalf("%d files were open", n)
	}
}

// What a sync before closing finds is told at the file's own next sync.
func TestErrorAtEvictionIsRemembered(t *testing.T) {
	r := newRig(t)
	r.calls(func(d *Disk) { d.Create("x/first", 1) })
	r.wantFile("x/first", "\x00")
	r.fail("sync x/first", syscall.EIO)
	for i := range poolFiles {
		name := "x/" + strings.Repeat("n", 1+i%100) + string(rune('a'+i/100))
		r.calls(func(d *Disk) { d.Create(name, 0) })
		r.wantFile(name, "")
	}
	if r.fs.count("sync x/first") != 1 {
		t.Fatal("the file was not closed")
	}
	r.fail("sync x/first", nil)
	r.wantSync("x/first", env.ErrIO)
}

func TestCloseDropsWhatHasNotBegun(t *testing.T) {
	r := newRig(t)
	r.calls(func(d *Disk) { d.Create("f", 0) })
	r.wantSync("f", nil)
	release := r.hold("write f")
	r.calls(func(d *Disk) {
		d.Append("f", []byte("begun"))
		d.Truncate("f", 0)
	})
	for r.fs.count("write f") == 0 {
		time.Sleep(time.Millisecond)
	}
	r.driver.Stop()
	go func() {
		time.Sleep(5 * time.Millisecond)
		release()
	}()
	r.disk.Close()
	if found := r.sizeOf("f"); found[0].Size != 5 {
		t.Fatalf("the file is %v", found)
	}
	r.disk.Append("f", []byte("late"))
}

// A folder is listed after earlier removals of folders in it.
func TestListWaitsForRemovalOfFolders(t *testing.T) {
	r := newRig(t)
	r.calls(func(d *Disk) { d.Create("x/y/f", 1) })
	r.wantSync("x/y/f", nil)
	release := r.hold("remove x/y/f")
	synced := r.begin(func(t env.Ticket) {
		r.disk.Remove("x/y/f")
		r.disk.Remove("x/y/")
		r.disk.List(1000, "x/")
		r.disk.Create("x/y/g", 0)
		r.disk.Sync(t, "x/y/g")
	})
	time.Sleep(5 * time.Millisecond)
	release()
	if err := r.await(synced); err != nil {
		t.Fatal(err)
	}
	want := []string{"remove x/y/f", "remove x/y/", "list x/", "mkdir x/y/", "sync x/", "create x/y/g", "sync x/y/g"}
	if did := r.fs.did(); !slices.Equal(did[len(did)-len(want):], want) {
		t.Fatalf("done: %v, want %v at the end", did, want)
	}
}
