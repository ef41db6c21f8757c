package planted

// Bugs are the planted bugs.
var Bugs = []Bug{
	{
		Name: "acknowledge before the sync", Class: 1, Loses: true,
		Edits: []Edit{{
			File: "broker/journal/slots.go",
			Old:  "\tj.disk.Sync(s.name, done)\n}\n\n// relieve",
			New:  "\tj.disk.Sync(s.name, func(error) {})\n\tdone(nil)\n}\n\n// relieve",
		}},
	},
	{
		Name: "vote before the sync", Class: 2,
		Edits: []Edit{{
			File: "broker/replica/ready.go",
			Old:  "\tcase len(responses) > 0:\n",
			New:  "\tcase len(responses) > 0 && len(m.GetEntries()) == 0:\n\t\tr.cfg.Journal.Append(update, nil)\n\t\tr.persisted(responses)\n\tcase len(responses) > 0:\n",
		}},
	},
	{
		Name: "the leader counts itself before its own sync", Class: 1, Loses: true,
		Edits: []Edit{{
			File: "broker/replica/ready.go",
			Old:  "\tcase len(responses) > 0:\n\t\tr.cfg.Journal.Append(update, func() { r.persisted(responses) })\n",
			New: "\tcase len(responses) > 0 && r.Leads():\n\t\tr.cfg.Journal.Append(update, nil)\n\t\tr.persisted(responses)\n" +
				"\tcase len(responses) > 0:\n\t\tr.cfg.Journal.Append(update, func() { r.persisted(responses) })\n",
		}},
	},
	{
		Name: "\"nothing here\" without asking a quorum", Class: 11, Loses: true,
		Edits: []Edit{{
			File: "broker/fetch.go",
			Old:  "\t\tg.replica.Read(func(err error) { p.begin(err, wait) })\n",
			New:  "\t\tp.begin(nil, wait)\n",
		}},
	},
	{
		Name: "list offsets without asking a quorum", Class: 10, Loses: true,
		Edits: []Edit{{
			File: "broker/fetch.go",
			Old:  "\t\tg.replica.Read(func(err error) {\n\t\t\tif err != nil {\n\t\t\t\trefuse(n.notLeader(g.id))\n",
			New:  "\t\tfunc(f func(error)) { f(nil) }(func(err error) {\n\t\t\tif err != nil {\n\t\t\t\trefuse(n.notLeader(g.id))\n",
		}},
	},
	{
		Name: "a read index shared with a later fetch", Class: 11, Loses: true,
		Edits: []Edit{{
			File: "broker/replica/reads.go",
			Old:  "func (r *Replica) Read(done func(error)) {\n",
			New: "func (r *Replica) Read(done func(error)) {\n\tif n := len(r.reads.asked); n > 0 {\n" +
				"\t\tr.reads.asked[n-1].waiting = append(r.reads.asked[n-1].waiting, done)\n\t\treturn\n\t}\n",
		}},
	},
	{
		Name: "a torn tail taken for whole", Class: 2,
		Edits: []Edit{{
			File: "broker/segment/frame.go",
			Old:  "\tif len(data) != h.data || crc32.Checksum(data, castagnoli) != h.crc {\n",
			New:  "\tif len(data) != h.data {\n",
		}},
	},
	{
		Name: "the last batch applied again after a restart", Class: 8, Loses: true,
		Edits: []Edit{{
			File: "broker/replica/open.go",
			Old:  "\t// A crash may have taken the segment that was to follow.\n",
			New: "\tif n := len(tail.Frames); n > 0 && tail.Frames[n-1].Type == raftpb.EntryNormal {\n" +
				"\t\tr.machine.Apply(tail.Frames[n-1].Index, tail.Frames[n-1].Data)\n\t}\n",
		}},
	},
	{
		Name: "an empty snapshot for a joiner", Class: 22, Loses: true,
		Edits: []Edit{
			{
				File: "broker/replica/storage.go",
				Old:  "segment.EncodeManifest(r.store.Manifest())",
				New:  "segment.EncodeManifest(r.store.Manifest()[len(r.store.Manifest())-1:])",
			},
			{
				File: "broker/fetch.go",
				Old:  "\t\t\tg.node.Fail(err)\n\t\t\treturn\n\t\t}\n\t\tthen(",
				New:  "\t\t\tthen(nil)\n\t\t\treturn\n\t\t}\n\t\tthen(",
			},
		},
	},
	{
		Name: "the journal keeps what a conflict has overwritten", Class: 6,
		Edits: []Edit{{
			File: "broker/journal/image.go",
			Old:  "\ti.entries = append(i.entries, entries...)\n",
			New: "\tvar old []*raftpb.Entry\n\tif n := keep + len(entries); n < len(before) {\n\t\told = before[n:]\n\t}\n" +
				"\ti.entries = append(append(i.entries, entries...), old...)\n\ti.bytes += weigh(old)\n",
		}, {
			File: "broker/journal/image.go",
			Old:  "\tkeep := int(api.Index(entries[0].GetIndex()) - i.First())\n",
			New:  "\tkeep := int(api.Index(entries[0].GetIndex()) - i.First())\n\tbefore := slices.Clone(i.entries)\n",
		}},
	},
	{
		Name: "offsets from the raft index", Class: 20, Loses: true,
		Edits: []Edit{{
			File: "broker/group.go",
			Old:  "Apply(_ api.Index, data []byte) int32 {\n\tout := m.state.Apply(data)\n",
			New:  "Apply(index api.Index, data []byte) int32 {\n\tout := m.state.Apply(data)\n\tif out.Count > 0 {\n\t\tout.Base = api.Offset(index)\n\t}\n",
		}},
	},
	{
		Name: "a reply before the commit", Class: 1, Loses: true,
		Edits: []Edit{{
			File: "broker/produce.go",
			Old:  "\t\tg.propose(encode, answer)\n",
			New: "\t\tbase := g.partition.state.End()\n\t\tfailed := false\n\t\tg.propose(encode, func(r *api.Response) {\n" +
				"\t\t\tif failed = r.GetError() != nil; failed {\n\t\t\t\tanswer(r)\n\t\t\t}\n\t\t})\n" +
				"\t\tif !failed {\n\t\t\tanswer(&api.Response{Body: &api.Response_Produce{Produce: &api.ProduceResponse{BaseOffset: int64(base)}}})\n\t\t}\n",
		}},
	},
	{
		Name: "hard state lost where no entry comes with it", Class: 2,
		Edits: []Edit{{
			File: "broker/replica/ready.go",
			Old:  "\tif m.Term != nil {\n",
			New:  "\tif m.Term != nil && len(m.GetEntries()) > 0 {\n",
		}},
	},
	{
		Name: "the table of producers missing from the state frame", Class: 14, Loses: true,
		Edits: []Edit{{
			File: "broker/partition/partition.go",
			Old:  "\treturn s.producers.append(b)\n",
			New:  "\tnone := newProducers()\n\treturn none.append(b)\n",
		}},
	},
	{
		Name: "the table of producers answers a new batch with an old offset", Class: 13, Loses: true,
		Edits: []Edit{{
			File: "broker/partition/producers.go",
			Old:  "\t\tif b.sequence == first && b.count == count {\n",
			New:  "\t\tif b.sequence <= first && first < b.sequence+knownBatches {\n",
		}},
	},
	{
		Name: "a stale configuration in a snapshot", Class: 5,
		Edits: []Edit{{
			File: "broker/replica/open.go",
			Old:  "\t\tr.conf, r.confIndex = conf, frame.Index\n",
			New:  "\t\t_ = conf\n",
		}},
	},
	{
		Name: "NOT_LEADER after the proposal", Class: 16, Loses: true,
		Edits: []Edit{{
			File: "broker/group.go",
			Old:  "api.Errorf(api.Code_LEADERSHIP_LOST,\n",
			New:  "api.Errorf(api.Code_NOT_LEADER,\n",
		}},
	},
	{
		Name: "a checkpoint without the sync of its segments", Class: 21,
		Edits: []Edit{{
			File: "broker/segment/checkpoint.go",
			Old:  "\tc.s.f.Sync(g.name, func(err error) {\n",
			New:  "\tfunc(_ string, f func(error)) { f(nil) }(g.name, func(err error) {\n",
		}},
	},
	{
		Name: "a copied snapshot is not synced", Class: 21,
		Edits: []Edit{{
			File: "broker/segment/import.go",
			Old:  "\t\ti.f.Sync(fileName(i.folder, file.Segment), synced)\n",
			New:  "\t\t_ = file\n\t\tsynced(nil)\n",
		}},
	},
	{
		Name: "retention takes what was not trimmed", Class: 4, Loses: true,
		Edits: []Edit{
			{
				File: "broker/group.go",
				Old:  "\t\tg.replica.DropBefore(out.LogStart)\n",
				New:  "\t\tg.replica.DropBefore(g.partition.state.End())\n",
			},
			{
				File: "broker/fetch.go",
				Old:  "\t\t\tg.node.Fail(err)\n\t\t\treturn\n\t\t}\n\t\tthen(",
				New:  "\t\t\tthen(nil)\n\t\t\treturn\n\t\t}\n\t\tthen(",
			},
		},
	},
	{
		Name: "the log start missing from the state frame", Class: 20, Loses: true,
		Edits: []Edit{{
			File: "broker/partition/partition.go",
			Old:  "\tb = codec.AppendUvarint(b, uint64(s.start))\n",
			New:  "\tb = codec.AppendUvarint(b, 0)\n",
		}},
	},
	{
		Name: "a full segment is not followed by a new one after a crash", Class: 20,
		Edits: []Edit{{
			File: "broker/replica/open.go",
			Old:  "\t// A crash may have taken the segment that was to follow.\n\tr.rollIfFull()\n",
			New:  "",
		}},
	},
}
