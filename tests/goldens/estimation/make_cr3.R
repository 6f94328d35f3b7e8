# Golden values of CR3 (the jackknife of clusters): `Rscript make_cr3.R` here.
# R 4.2 with clubSandwich; reads the data_*.csv that make_goldens.R wrote. Degrees of freedom are
# Satterthwaite's of the CR3 variance itself.
suppressPackageStartupMessages(library(clubSandwich))
options(digits = 17)
read <- function(name) read.csv(paste0("data_", name, ".csv"))
mtcars <- read("mtcars"); clustered <- read("clustered"); blocks <- read("block_cluster")
paired <- read("paired")
wide <- with(paired, data.frame(d = y[z == 1] - y[z == 0], cluster = cluster[z == 1]))
rows <- list()
keep <- function(data, estimator, covariates, fit, cluster, term = "z") {
  test <- coef_test(fit, vcov = "CR3", cluster = cluster, test = "Satterthwaite")
  i <- match(term, names(coef(fit))); b <- test$beta[i]; se <- test$SE[i]
  df <- test[[if ("df_Satt" %in% names(test)) "df_Satt" else "df"]][i]
  rows[[length(rows) + 1]] <<- data.frame(data, estimator, covariates, estimate = b, std_error = se,
    df = df, p_value = 2 * pt(-abs(b / se), df), conf_low = b - qt(.975, df) * se,
    conf_high = b + qt(.975, df) * se)
}
keep("mtcars", "cluster", "", lm(y ~ z, mtcars), mtcars$cluster)
keep("mtcars", "cluster", "x w", lm(y ~ z + x + w, mtcars), mtcars$cluster)
keep("clustered", "cluster", "", lm(y ~ z, clustered), clustered$cluster)
keep("clustered", "cluster", "x", lm(y ~ z + x, clustered), clustered$cluster)
keep("block_cluster", "cluster", "", lm(y ~ z + factor(block), blocks), blocks$cluster)
keep("paired", "paired", "", lm(d ~ 1, wide), wide$cluster, "(Intercept)")
write.csv(do.call(rbind, rows), "cr3.csv", row.names = FALSE)
