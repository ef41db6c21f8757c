package broker

import (
	"hash/crc32"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
)

// identity is who a node is. It stands in the file "identity", which is written
// once and never changed, and in "token" before that for a node that joins:
//
//	bytes    magic "reprise identity 1"
//	bytes    cluster id; empty in "token"
//	uvarint  node id
//	uvarint  raft id of its replica of the meta group
//	bytes    token
//	bytes    the address at which it founded the cluster; empty if it joined
//	uvarint  default segment bytes of the cluster it founded, else 0
//	fixed    CRC-32C of the above
type identity struct {
	cluster string
	node    api.NodeID
	// The node's replica of the meta group.
	replica api.ReplicaID
	// Drawn by the node before it asked to join: whoever shows it is this node.
	token []byte
	// What the first state of the meta group is made from, so that a founder
	// that crashed can make it again.
	founded      string
	segmentBytes uint64
}

const (
	identityFile  = "identity"
	tokenFile     = "token"
	identityMagic = "reprise identity 1"
	// More than an identity can have.
	maxIdentityBytes = 4096
	tokenBytes       = 16
)

func (i identity) encode() []byte {
	b := codec.AppendBytes(nil, identityMagic)
	b = codec.AppendBytes(b, i.cluster)
	b = codec.AppendUvarint(b, uint64(i.node))
	b = codec.AppendUvarint(b, uint64(i.replica))
	b = codec.AppendBytes(b, i.token)
	b = codec.AppendBytes(b, i.founded)
	b = codec.AppendUvarint(b, i.segmentBytes)
	return codec.AppendFixed(b, identitySum(b))
}

func decodeIdentity(b []byte) (identity, bool) {
	r := codec.NewReader(b)
	magic := r.String()
	i := identity{
		cluster:      r.String(),
		node:         api.NodeID(r.Uvarint()),
		replica:      api.ReplicaID(r.Uvarint()),
		token:        r.Bytes(),
		founded:      r.String(),
		segmentBytes: r.Uvarint(),
	}
	body := len(b) - r.Len()
	sum := r.Fixed()
	ok := r.Close() == nil && magic == identityMagic && sum == identitySum(b[:body])
	return i, ok
}

func identitySum(b []byte) uint64 {
	return uint64(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}
