package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
)

// Kind says what a frame holds.
type Kind uint8

// Kinds of frames.
const (
	// KindState is the first frame of each segment.
	KindState Kind = 1
	// KindEntry is an entry that takes no offset.
	KindEntry Kind = 2
	// KindRecords is an entry whose records take offsets.
	KindRecords Kind = 3
)

// Frame is one entry of the log, or the state at the head of a segment.
type Frame struct {
	Kind Kind
	Type raftpb.EntryType
	// Index and Term are the entry's; a state frame has those of the last entry
	// before its segment.
	Index api.Index
	Term  api.Term
	// Base is the first record's offset; without records, the next offset.
	Base api.Offset
	// Count is the number of records; in a state frame, that of the entries in the
	// segment before.
	Count int32
	// Data is the entry's, unchanged. Frames that the store hands out share it with
	// the store: it must not be changed.
	Data []byte
}

// ErrFrame: the bytes do not begin with a frame: cut short, changed, or something
// else. Whoever reads a file decides whether that is a torn end or damage.
var ErrFrame = errors.New("bad frame")

const (
	headerBytes = 42
	// maxDataBytes bounds the data of a frame far above what a group admits.
	maxDataBytes = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// headerSum is the checksum of a frame's header, in the log of a group: in that of another
// the frame is none.
func headerSum(group api.GroupID, header []byte) uint32 {
	var id [8]byte
	binary.LittleEndian.PutUint64(id[:], uint64(group))
	return crc32.Update(crc32.Checksum(id[:], castagnoli), castagnoli, header)
}

// DecodeFrame gives the frame at the head of b, which is of the log of a group, and what
// follows it. The frame's data aliases b.
func DecodeFrame(group api.GroupID, b []byte) (fr Frame, rest []byte, err error) {
	h, err := decodeHeader(group, b)
	if err != nil {
		return Frame{}, nil, err
	}
	if len(b) < h.bytes() {
		return Frame{}, nil, ErrFrame
	}
	fr, err = h.with(b[headerBytes:h.bytes():h.bytes()])
	if err != nil {
		return Frame{}, nil, err
	}
	return fr, b[h.bytes():], nil
}

// next is the offset after the frame.
func (fr *Frame) next() api.Offset {
	if fr.Kind == KindRecords {
		return fr.Base + api.Offset(fr.Count)
	}
	return fr.Base
}

// bytes is the frame's length in a file.
func (fr *Frame) bytes() int { return headerBytes + len(fr.Data) }

// check panics if the frame is none that a reader would take: better no frame in
// the file than one that recovery must call damage.
func (fr *Frame) check() {
	if !fr.valid() || len(fr.Data) > maxDataBytes {
		panic(fmt.Sprintf("segment: frame makes no sense: kind %d, type %d, index %d, term %d, base %d, count %d, %d bytes",
			fr.Kind, fr.Type, fr.Index, fr.Term, fr.Base, fr.Count, len(fr.Data)))
	}
}

func (fr *Frame) valid() bool {
	if fr.Index == 0 || fr.Term == 0 || fr.Base < 0 || fr.Count < 0 || fr.Base > math.MaxInt64-math.MaxInt32 {
		return false
	}
	switch fr.Kind {
	case KindState:
		return fr.Type == raftpb.EntryNormal && api.Index(fr.Count) < fr.Index
	case KindEntry:
		return fr.Count == 0 && fr.Type >= raftpb.EntryNormal && fr.Type <= raftpb.EntryConfChangeV2
	case KindRecords:
		return fr.Count > 0 && fr.Type == raftpb.EntryNormal
	}
	return false
}

// appendFrame appends the frame's bytes; the data is copied once.
func appendFrame(group api.GroupID, b []byte, fr *Frame) []byte {
	fr.check()
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(fr.Data, castagnoli))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(fr.Data)))
	b = binary.LittleEndian.AppendUint32(b, uint32(fr.Count))
	b = binary.LittleEndian.AppendUint64(b, uint64(fr.Index))
	b = binary.LittleEndian.AppendUint64(b, uint64(fr.Term))
	b = binary.LittleEndian.AppendUint64(b, uint64(fr.Base))
	b = append(b, byte(fr.Kind), byte(fr.Type))
	binary.LittleEndian.PutUint32(b[start:], headerSum(group, b[start+4:]))
	return append(b, fr.Data...)
}

// header is a frame whose data has not been read.
type header struct {
	// frame has no data yet, and is valid.
	frame Frame
	// data is the length of the data, at most maxDataBytes.
	data int
	crc  uint32
}

func decodeHeader(group api.GroupID, b []byte) (header, error) {
	if len(b) < headerBytes || headerSum(group, b[4:headerBytes]) != binary.LittleEndian.Uint32(b) {
		return header{}, ErrFrame
	}
	length := binary.LittleEndian.Uint32(b[8:])
	h := header{
		crc:  binary.LittleEndian.Uint32(b[4:]),
		data: int(length),
		frame: Frame{
			Count: int32(binary.LittleEndian.Uint32(b[12:])),
			Index: api.Index(binary.LittleEndian.Uint64(b[16:])),
			Term:  api.Term(binary.LittleEndian.Uint64(b[24:])),
			Base:  api.Offset(binary.LittleEndian.Uint64(b[32:])),
			Kind:  Kind(b[40]),
			Type:  raftpb.EntryType(b[41]),
		},
	}
	if length > maxDataBytes || !h.frame.valid() {
		return header{}, ErrFrame
	}
	return h, nil
}

// bytes is the frame's length in a file.
func (h *header) bytes() int { return headerBytes + h.data }

// with gives the frame with its data, if that is what the header says.
func (h *header) with(data []byte) (Frame, error) {
	if len(data) != h.data || crc32.Checksum(data, castagnoli) != h.crc {
		return Frame{}, ErrFrame
	}
	fr := h.frame
	if len(data) > 0 {
		fr.Data = data
	}
	return fr, nil
}
