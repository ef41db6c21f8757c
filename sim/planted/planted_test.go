package planted

import "testing"

// Every edit still applies: a planted bug that the code has grown out of proves
// nothing.
func TestEditsApply(t *testing.T) {
	bugs, err := Bugs()
	if err != nil {
		t.Fatal(err)
	}
	for i := range bugs {
		if len(bugs[i].Verdicts) == 0 || len(bugs[i].Edits) == 0 {
			t.Errorf("%s has no verdicts or no edits", bugs[i].Name)
		}
		if _, err := bugs[i].Overlay("../..", t.TempDir()); err != nil {
			t.Error(err)
		}
	}
}
