// Package command is the head with which every command in a raft log begins. It
// owns no command: each state machine draws its own after the head.
//
//	byte     format version, 1
//	byte     kind, numbered by the state machine
//	uvarint  origin   } the tag
//	uvarint  number   }
//	uvarint  wall clock of the leader that proposed it, in milliseconds
//	         (two's complement, should a clock stand before 1970)
//
// The numbers are those of broker/codec.
package command

import (
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
)

// Tag names a proposal of one life of one node, so that whoever proposed a command
// finds its waiter when the command is applied. No state machine decides by it.
type Tag struct {
	// Origin names the life of the node; two lives never share one.
	Origin uint64
	// Number counts the proposals of that life.
	Number uint64
}

// Head is what every command begins with.
type Head struct {
	Kind byte
	Tag  Tag
	// Now is the wall clock of the leader: every time used at apply comes from it.
	Now api.Milliseconds
}

const version = 1

// Append appends a head; the command's own fields follow it.
func Append(b []byte, h Head) []byte {
	b = append(b, version, h.Kind)
	b = codec.AppendUvarint(b, h.Tag.Origin)
	b = codec.AppendUvarint(b, h.Tag.Number)
	return codec.AppendUvarint(b, uint64(h.Now))
}

// Read takes a head off a reader. It is false if there is none, or one of another
// version; the command can then not be understood.
func Read(r *codec.Reader) (Head, bool) {
	v := r.Byte()
	h := Head{
		Kind: r.Byte(),
		Tag:  Tag{Origin: r.Uvarint(), Number: r.Uvarint()},
		Now:  api.Milliseconds(r.Uvarint()),
	}
	if r.Err() != nil || v != version {
		return Head{}, false
	}
	return h, true
}
