"""An assignment: handout.md, a source with solutions, checks, mutants; student/ and solution/ are made from it."""
