"""A custom dump that pg_dump 17 wrote to a redirected file.

The tables are those of the dumps of PostgreSQL 15 in verify_archives, the command was
``pg_dump -Fc tiny > file``. Up to :data:`END_OF_DATA` it is what goes into a pipe.
"""

from verify_archives import unpack

END_OF_DATA = 2125
REDIRECTED = unpack("""
    eNrtlc9L22AYx5P6q4sKgjK2y3hlQiu2WZJWrWweahu1rjWljRuDbSVNYg20SWki2MsObjeFwXb1tNv+A2+DyUCmlx23
    o3Ps39j7vkn6I2tHRS+DBt4n748n7/v55nmSJ7uWzGTJCWLQT5LEHAGvIWSmkLmHDIXMK8K9BmGzNL2OF9lFmuVAMKkW
    NUkHeBRm5hS1yEZ22dleXPDuxXF3dxI2xrF+aPnNhJBMba61D3wuXJ4XgVzWVN0qqLpsKJpeAssgsCWuxgIPKRLt08nY
    R5Gu2G2pbKp4ONCQKXdEQrR5MZkXcxAj7x1irKCDZVqSrkg1pSAb+rZRq0C0gmnV4M1EiIZ+TUClOyAfzyXWs3Fx3TvE
    gDE8l+YTIqiWCrJkSWWjRJuqhUm1UjBgqlJN3ilUJWsnEAIB2DDA7PWA1fHWFGK5BQ67sguRWLSZVSjOybgYX4nneZu3
    DFsix8dFHrgLALmCpylxHYh8JptGa8vAUivVsmSpDHATpZELIC0k4mm+kM0JT1JJPgcXylpRdqaRW4KGjmGUNTj1kzkh
    235cZ/H2haCrhmmVaqrZVf8Pol3//JKrf4nBPYhv1XEPHpt21NNN9XgWVHeLZU2msTMIUgBemgI03VJLao2CMSLuuvx/
    P+CIIIYRMJ5vEu2oUpWo9Szne1c5sXk8pRuW6lXzqIsa5PuXmBAeFw2lDkO7Z2FtdzpqQ4/foLQX485X5XxUncJEucJw
    luCHW7LiPtIpZJ95oqUps2A1J2TgzwH+qqCcJmxvKYXP4diY7d1wft4ZuDUQ/+YNenjteGhKCL/+m4Fe9EC/bPsfcAts
    BHeiXJTDtKhD09BGCOS5khZWQIYX4w3+hheFnCh8ejgMlN1KpX7Nb7XgeaHNn2sL1ZBDlfe8zauejWVHohzndqLtb4q0
    ExK1vaODbz8vLnyE7wvx0VnEwV/Ei5HL87MHqS3mkttnDo8Pp8dketJ/8uZs6jPzi3vNnB+fT4+Z9Kj/ZH9u9e3BwShx
    i5pcwtsM2JLfTUBzG+/1WDxNhTaErVPh60aGJomZ30MzNs/7CUfK3tEA0RZSol/O++W8X8775bxfzq9ezn0fRv6/cu77
    NNIv5z2Vc9+w337qDzoMajU=
""")
PIPED = REDIRECTED[:END_OF_DATA]
