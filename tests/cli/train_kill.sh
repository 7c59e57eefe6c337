# Runs that are killed at random moments and resumed end with the bytes of a run that was not.
MEBENCH=$MEBENCH sh "$DATA/../tools/kill_resume.sh" 3 cpu | sed 's/([0-9]* kills)/(N kills)/'
