package files_test

import (
	"errors"
	"testing"

	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/files"
)

// recorder is a disk that only notes the tickets.
type recorder struct {
	env.Disk
	tickets []env.Ticket
}

func (r *recorder) Sync(t env.Ticket, _ string)                 { r.tickets = append(r.tickets, t) }
func (r *recorder) Load(t env.Ticket, _ string, _ int64, _ int) { r.tickets = append(r.tickets, t) }
func (r *recorder) Free() int64                                 { return 0 }
func (r *recorder) List(t env.Ticket, _ string)                 { r.tickets = append(r.tickets, t) }

// Answers find whoever asked, in whatever order they come, once.
func TestAnswersFindTheirWay(t *testing.T) {
	disk := &recorder{}
	f := files.New(disk)
	var heard []string
	note := func(what string) { heard = append(heard, what) }
	f.Sync("a", func(err error) { note("sync a " + err.Error()) })
	f.Load("b", 0, 1, func(data []byte, _ error) { note("load b " + string(data)) })
	f.List("c/", func(entries []env.FileInfo, _ error) { note("list c " + entries[0].Name) })
	f.Sync("d", func(error) { note("sync d") })
	f.Synced(disk.tickets[3], nil)
	f.Listed(disk.tickets[2], []env.FileInfo{{Name: "c/x"}}, nil)
	f.Loaded(disk.tickets[1], []byte("B"), nil)
	f.Synced(disk.tickets[0], errors.New("E"))
	want := []string{"sync d", "list c c/x", "load b B", "sync a E"}
	for i := range want {
		if len(heard) != len(want) || heard[i] != want[i] {
			t.Fatalf("heard %q, want %q", heard, want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a second answer to one ticket goes unnoticed")
		}
	}()
	f.Synced(disk.tickets[0], nil)
}
