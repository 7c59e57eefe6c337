# Killed in a training and in a sampling, a study ends as one that nothing disturbed.
sh "$DATA/../tools/kill_reproduce.sh" 0
