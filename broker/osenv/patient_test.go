package osenv

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/env"
)

// While no file can be opened everything that needs one waits, and then goes on as if
// nothing had been.
func TestNoMoreFiles(t *testing.T) {
	for what, call := range map[string]func(d *Disk, t env.Ticket){
		"open x/f": func(d *Disk, t env.Ticket) { d.Load(t, "x/f", 0, 3) },
		"create g": func(d *Disk, t env.Ticket) {
			d.Create("g", 1)
			d.Sync(t, "g")
		},
		"mkdir y/": func(d *Disk, t env.Ticket) {
			d.Create("y/f", 1)
			d.Sync(t, "y/f")
		},
		"remove x/f": func(d *Disk, t env.Ticket) {
			d.Remove("x/f")
			d.Sync(t, "x/")
		},
		"sync x/": func(d *Disk, t env.Ticket) { d.Sync(t, "x/") },
		"list x/": func(d *Disk, t env.Ticket) {
			d.List(t, "x/")
			d.Sync(t, "x/")
		},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			var told atomic.Int64
			r.disk.TellShortage(func(err error) {
				if errors.Is(err, syscall.EMFILE) {
					told.Add(1)
				}
			})
			folder := r.fs.FS.(*Folder)
			if err := folder.MakeFolder("x/"); err != nil {
				t.Fatal(err)
			}
			f, err := folder.Open("x/f", true)
			if err != nil {
				t.Fatal(err)
			}
			f.WriteAt([]byte("abc"), 0)
			f.Close()

			r.fail(what, syscall.EMFILE)
			ticket := r.begin(func(t env.Ticket) { call(r.disk, t) })
			for deadline := time.Now().Add(10 * time.Second); r.fs.count(what) < 3; {
				if time.Now().After(deadline) {
					t.Fatalf("it does not ask again: %v", r.fs.did())
				}
				time.Sleep(time.Millisecond)
			}
			if ok, err := r.answered(ticket); ok {
				t.Fatalf("answered with %v", err)
			}
			r.fail(what, nil)
			if err := r.await(ticket); err != nil {
				t.Fatal(err)
			}
			switch what {
			case "open x/f":
				r.wantFile("x/f", "abc")
			case "remove x/f":
				if len(r.sizeOf("x/f")) != 0 {
					t.Fatal("the file is still there")
				}
			}
			if told.Load() != 1 {
				t.Errorf("told %d times", told.Load())
			}
		})
	}
}

// A disk that waits for files can be closed.
func TestCloseWithoutFiles(t *testing.T) {
	r := newRig(t)
	r.fail("create f", syscall.ENFILE)
	r.begin(func(t env.Ticket) { r.disk.Create("f", 1) })
	for deadline := time.Now().Add(10 * time.Second); r.fs.count("create f") == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never asked")
		}
	}
	closed := make(chan struct{})
	go func() {
		r.driver.Stop()
		r.disk.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("it does not close")
	}
}
