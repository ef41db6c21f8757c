package segment

import (
	"fmt"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/files"
)

// null is a disk that forgets everything.
type null struct{}

func (null) Create(string, int64)                {}
func (null) Append(string, []byte)               {}
func (null) WriteAt(string, int64, []byte)       {}
func (null) Truncate(string, int64)              {}
func (null) Remove(string)                       {}
func (null) Sync(env.Ticket, string)             {}
func (null) Load(env.Ticket, string, int64, int) {}
func (null) Free() int64                         { return 0 }
func (null) List(env.Ticket, string)             {}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{100, 1 << 10, 16 << 10, 256 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := Create(Log{Files: files.New(null{}), Folder: folder}, firstState)
			data := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for range b.N {
				s.Append(Frame{Kind: KindRecords, Index: s.Last() + 1, Term: 1, Base: s.Next(), Count: 1, Data: data})
				if s.Full(64 << 20) {
					s.Roll(stateOf(s))
				}
			}
		})
	}
}

func BenchmarkReadTail(b *testing.B) {
	s := filled(newDisk(1), 5_000, 1<<30)
	from := s.Next() - 300
	b.ReportAllocs()
	for range b.N {
		s.Read(from, 64<<10, func([]Frame, error) {})
	}
}

func BenchmarkEntriesTail(b *testing.B) {
	s := filled(newDisk(1), 5_000, 1<<30)
	from := s.Last() - 100
	b.ReportAllocs()
	for range b.N {
		s.Entries(from, 64<<10, func([]*raftpb.Entry, error) {})
	}
}

func BenchmarkReadDisk(b *testing.B) {
	d := newDisk(1)
	s := filled(d, 50_000, 4<<20)
	end := s.Next()
	s.tail = tail{}
	size := 0
	b.ReportAllocs()
	from := api.Offset(0)
	for range b.N {
		s.Read(from, 1<<20, func(frames []Frame, err error) {
			for _, fr := range frames {
				size += fr.bytes()
				from = fr.next() % end
			}
		})
		d.run()
	}
	b.SetBytes(int64(size / b.N))
}
