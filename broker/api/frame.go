package api

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"google.golang.org/protobuf/proto"
)

// A frame is what crosses a link between nodes:
//
//	0       4
//	+-------+---------------------+
//	| crc   | Message (protobuf)  |
//	+-------+---------------------+
//
// crc is the CRC-32C of what follows, little-endian.

// ErrFrame: the bytes are no frame: cut short, changed on the way, or not a
// message as api.proto has it. The frame is dropped; raft and the client repeat what mattered.
var ErrFrame = errors.New("bad frame")

const frameHeader = 4

// How many numbers a heartbeat is, and an answer to one, in the lists of a PeerBatch.
const (
	HeartbeatNumbers       = 5
	HeartbeatAnswerNumbers = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// EncodeFrame gives the frame of a message.
func EncodeFrame(m *Message) []byte {
	b := make([]byte, frameHeader, frameHeader+proto.Size(m))
	b, err := proto.MarshalOptions{Deterministic: true, UseCachedSize: true}.MarshalAppend(b, m)
	if err != nil {
		panic(fmt.Sprintf("api: message cannot be encoded: %T", m.Body))
	}
	return sum(b)
}

// sum puts the checksum of what follows the header into it.
func sum(b []byte) []byte {
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[frameHeader:], castagnoli))
	return b
}

// DecodeFrame gives the message of a frame. The message does not alias b. The lists of
// a PeerBatch hold whole heartbeats.
func DecodeFrame(b []byte) (*Message, error) {
	if len(b) < frameHeader {
		return nil, ErrFrame
	}
	if crc32.Checksum(b[frameHeader:], castagnoli) != binary.LittleEndian.Uint32(b) {
		return nil, ErrFrame
	}
	m := &Message{}
	// The library varies its error text from binary to binary, so it goes no further.
	if proto.Unmarshal(b[frameHeader:], m) != nil {
		return nil, ErrFrame
	}
	peer := m.GetPeer()
	if len(peer.GetHeartbeats())%HeartbeatNumbers != 0 || len(peer.GetHeartbeatAnswers())%HeartbeatAnswerNumbers != 0 {
		return nil, ErrFrame
	}
	return m, nil
}
